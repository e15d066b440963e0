package ident

import (
	"context"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Sources is where the identity of a machine is read from. All fields are needed;
// System returns those of this machine.
type Sources struct {
	// OS is the operating system, as runtime.GOOS names it.
	OS string
	// Getenv reads an environment variable; "" when unset.
	Getenv func(name string) string
	// ReadFile reads a small file.
	ReadFile func(name string) ([]byte, error)
	// Output runs a command of the system and returns what it prints.
	Output func(ctx context.Context, name string, args ...string) ([]byte, error)
	// Interfaces lists the network interfaces in the system's order.
	Interfaces func() ([]net.Interface, error)
}

// commandTime bounds each command that asks the system for a serial number.
const commandTime = 5 * time.Second

// System returns the sources of the machine on which this program runs.
func System() Sources {
	return Sources{
		OS:       runtime.GOOS,
		Getenv:   os.Getenv,
		ReadFile: os.ReadFile,
		Output: func(ctx context.Context, name string, args ...string) ([]byte, error) {
			return exec.CommandContext(ctx, name, args...).Output()
		},
		Interfaces: net.Interfaces,
	}
}

// Local returns the hashed system id and node id of the machine, from which
// Instance makes an instance id. MORANGO_SYSTEM_ID and MORANGO_NODE_ID override
// what the machine says, when three characters or longer. Either is "" when the
// machine tells nothing of use: nothing here fails. A Python peer on the same
// machine finds the same ids.
func Local(ctx context.Context, s Sources) (systemID, nodeID string) {
	interfaces, fallback := s.hardware()
	return Salted(s.serial(ctx)), Node(s.Getenv("MORANGO_NODE_ID"), interfaces, fallback)
}

// hardware returns the network interfaces, and the address to fall back on: the
// first that the system lists, whoever gave it.
func (s Sources) hardware() ([]Interface, MAC) {
	listed, err := s.Interfaces()
	if err != nil {
		return nil, NoMAC
	}
	var interfaces []Interface
	fallback := NoMAC
	for _, i := range listed {
		var address MAC
		if len(i.HardwareAddr) == 6 { // what is longer is no Ethernet
			for _, octet := range i.HardwareAddr {
				address = address<<8 | MAC(octet)
			}
		}
		if address == 0 {
			continue
		}
		interfaces = append(interfaces, Interface{Device: i.Name, Ether: address.String()})
		if fallback == NoMAC {
			fallback = address
		}
	}
	return interfaces, fallback
}

// serial returns what tells this machine from others: the override, or what its
// operating system knows; "" when nothing.
func (s Sources) serial(ctx context.Context) string {
	override := s.Getenv("MORANGO_SYSTEM_ID")
	if usable(override) {
		return override
	}
	switch {
	case s.OS == "windows":
		return s.windowsSerial(ctx)
	case s.OS == "darwin" || s.OS == "ios":
		return s.macSerial(ctx)
	case s.OS == "android" || s.Getenv("ANDROID_ARGUMENT") != "":
		return s.androidSerial(ctx)
	case s.OS == "linux":
		if id, err := s.ReadFile("/etc/machine-id"); err == nil {
			return strings.TrimSpace(string(id))
		}
	}
	return override
}

// windowsSerial asks for the serial number of the machine, else of its disk. A
// number of nothing but F stands for none.
func (s Sources) windowsSerial(ctx context.Context) string {
	id := s.wmic(ctx, "csproduct", "UUID")
	if strings.Trim(id, "F- ") == "" {
		id = s.wmic(ctx, "DISKDRIVE", "SerialNumber")
	}
	return id
}

// wmic returns the last word that the command prints when it has a dash, as serial
// numbers have and headings do not.
func (s Sources) wmic(ctx context.Context, class, property string) string {
	words := strings.Fields(s.output(ctx, "wmic", class, "get", property))
	if len(words) == 0 || !strings.Contains(words[len(words)-1], "-") {
		return ""
	}
	return words[len(words)-1]
}

// macSerial returns the platform UUID: the last quoted text of the last line that
// names a UUID.
func (s Sources) macSerial(ctx context.Context) string {
	var id string
	for line := range strings.Lines(s.output(ctx, "ioreg", "-rd1", "-c", "IOPlatformExpertDevice")) {
		if !strings.Contains(line, "UUID") {
			continue
		}
		if quoted := strings.Split(line, `"`); len(quoted) >= 3 {
			id = quoted[len(quoted)-2]
		}
	}
	return id
}

func (s Sources) androidSerial(ctx context.Context) string {
	for _, property := range []string{"ro.serialno", "ril.serialnumber", "ro.boot.serialno"} {
		if id := strings.TrimSpace(s.output(ctx, "getprop", property)); id != "" {
			return id
		}
	}
	return ""
}

// output returns what a command prints; "" when it fails or takes too long.
func (s Sources) output(ctx context.Context, name string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	text, err := s.Output(ctx, name, args...)
	if err != nil {
		return ""
	}
	return string(text)
}
