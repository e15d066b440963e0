package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// configFile reads a configuration file: a YAML mapping from the names of flags,
// without dashes in front, to their values. A flag of one command may stand under the
// command's name, where it then counts for that command only.
func configFile(r io.Reader) (kong.Resolver, error) {
	values := map[string]any{}
	if err := yaml.NewDecoder(r).Decode(&values); err != nil && err != io.EOF {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	return kong.ResolverFunc(func(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
		for _, name := range flag.Envs {
			if _, set := os.LookupEnv(name); set {
				return nil, nil // the environment goes over the file
			}
		}
		if node := parent.Node(); node != nil {
			if section, ok := values[node.Name].(map[string]any); ok {
				if value, ok := lookup(section, flag.Name); ok {
					return value, nil
				}
			}
		}
		value, _ := lookup(values, flag.Name)
		return value, nil
	}), nil
}

// lookup finds a flag's value by its name, with dashes or underscores.
func lookup(values map[string]any, name string) (any, bool) {
	for _, key := range []string{name, strings.ReplaceAll(name, "-", "_")} {
		if value, ok := values[key]; ok {
			if _, section := value.(map[string]any); !section {
				return value, true
			}
		}
	}
	return nil, false
}
