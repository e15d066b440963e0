package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// readPassword takes the password from a file, or asks for it without showing it; for
// a new password twice, since nobody sees what they type.
func readPassword(ctx context.Context, c console, file, prompt string, isNew bool) (string, error) {
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		password := strings.TrimRight(string(text), "\r\n")
		if password == "" {
			return "", fmt.Errorf("read the password: file %s is empty", file)
		}
		return password, nil
	}
	in, ok := c.in.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", errors.New("a password is needed: give it with --password-file, or run this in a terminal")
	}
	password, err := askHidden(ctx, c, int(in.Fd()), prompt)
	if err != nil || !isNew {
		return password, err
	}
	again, err := askHidden(ctx, c, int(in.Fd()), "The same again: ")
	if err == nil && again != password {
		err = errors.New("the two passwords differ; nothing was changed")
	}
	return password, err
}

// askHidden reads one line from the terminal without showing it. When ctx ends first,
// the terminal is left as it was.
func askHidden(ctx context.Context, c console, terminal int, prompt string) (string, error) {
	before, err := term.GetState(terminal)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	fmt.Fprint(c.err, prompt)
	defer fmt.Fprintln(c.err)
	type line struct {
		text []byte
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(terminal)
		typed <- line{text, err}
	}()
	select {
	case got := <-typed:
		if got.err != nil {
			return "", fmt.Errorf("read the password: %w", got.err)
		}
		return string(got.text), nil
	case <-ctx.Done(): // the reading ends with the process
		return "", errors.Join(ctx.Err(), term.Restore(terminal, before))
	}
}
