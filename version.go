package morango

import "runtime/debug"

// version is set by the linker in released builds (make dist).
var version string

// Version returns this build's version: that of the release, or of the module as the
// Go tool knows it, or "development".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path == "github.com/morango-go/morango" && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development"
}
