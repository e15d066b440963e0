package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// configFlag names a configuration file: a YAML mapping from the names of flags,
// without the dashes in front, to their values. One file may hold the flags of several
// commands. The environment goes over the file, the command line over both.
type configFlag string

// BeforeResolve has the parser look into the file for flags that were not given.
func (configFlag) BeforeResolve(ctx *kong.Context, trace *kong.Path) error {
	path := fmt.Sprint(ctx.FlagValue(trace.Flag))
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("configuration file: %w", err)
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(text, &values); err != nil {
		// Without the lines around it: they may hold a password.
		return fmt.Errorf("configuration file %s: %s", path, yaml.FormatError(err, false, false))
	}
	known := flagNames(ctx.Model.Node)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !known[key] {
			return fmt.Errorf("configuration file %s: no flag is named %q; see `morango COMMAND --help` for their names", path, key)
		}
	}
	ctx.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		for _, name := range flag.Envs {
			if _, set := os.LookupEnv(name); set {
				return nil, nil // the environment goes over the file
			}
		}
		value, err := flagValue(values[flag.Name])
		if err != nil {
			return nil, fmt.Errorf("configuration file %s: %s: %w", path, flag.Name, err)
		}
		return value, nil
	}))
	return nil
}

// flagNames are the names of all flags that may stand in a configuration file, of
// whatever command.
func flagNames(node *kong.Node) map[string]bool {
	names := map[string]bool{}
	for _, flag := range node.Flags {
		if len(flag.Envs) > 0 && flag.Name != "config" {
			names[flag.Name] = true
		}
	}
	for _, child := range node.Children {
		maps.Copy(names, flagNames(child))
	}
	return names
}

// flagValue brings a YAML value into the form that the parser takes.
func flagValue(value any) (any, error) {
	switch value := value.(type) {
	case map[string]any:
		texts := make(map[string]any, len(value))
		for key, one := range value {
			texts[key] = fmt.Sprint(one)
		}
		return texts, nil
	case []any:
		texts := make([]string, len(value))
		for i, one := range value {
			texts[i] = fmt.Sprint(one)
			if strings.Contains(texts[i], ",") {
				return nil, errors.New("an entry of a list takes no comma")
			}
		}
		return strings.Join(texts, ","), nil
	}
	return value, nil
}
