package userfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrExists says that the file has a user of that name already.
var ErrExists = errors.New("user exists already")

// Add puts a user into the file, which is made when it is not there, readable for its
// owner only. A user of that name is replaced when replace is set, else ErrExists.
// Other lines stay as they are; the file is exchanged as a whole.
func Add(path string, account Account, password string, replace bool, random io.Reader) error {
	if err := check(account, password); err != nil {
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("users file: %w", err)
	}
	if err == nil {
		accounts, _, err := read(path)
		if err != nil {
			return err
		}
		if _, there := accounts[account.Name]; there && !replace {
			return fmt.Errorf("users file %s: user %q: %w", path, account.Name, ErrExists)
		}
	}
	if account.hash, err = newHash(password, random); err != nil {
		return err
	}
	var text strings.Builder
	for line := range strings.Lines(string(old)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name != account.Name {
			text.WriteString(strings.TrimRight(line, "\r\n") + "\n")
		}
	}
	text.WriteString(account.line() + "\n")
	return exchange(path, text.String())
}

// check refuses what could not be read back.
func check(account Account, password string) error {
	if err := checkName(account.Name); err != nil {
		return err
	}
	if password == "" {
		return fmt.Errorf("user %q: the password is empty", account.Name)
	}
	pieces := slices.Clone(account.Scopes)
	for key, value := range account.Params {
		pieces = append(pieces, key, value)
		if strings.Contains(key, "=") {
			return fmt.Errorf("user %q: parameter name %q has a = in it", account.Name, key)
		}
	}
	for _, piece := range pieces {
		if piece == "" || strings.ContainsAny(piece, ":,\r\n") || strings.TrimSpace(piece) != piece {
			return fmt.Errorf("user %q: %q is empty or has a space, a colon, a comma or a line break in it", account.Name, piece)
		}
	}
	return nil
}

// line is the account as it stands in the file.
func (a Account) line() string {
	var params []string
	for _, key := range slices.Sorted(maps.Keys(a.Params)) {
		params = append(params, key+"="+a.Params[key])
	}
	line := a.Name + ":" + a.hash.String() + ":" + strings.Join(a.Scopes, ",") + ":" + strings.Join(params, ",")
	return strings.TrimRight(line, ":")
}

// exchange replaces the file in one step.
func exchange(path, text string) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".users-*")
	if err != nil {
		return fmt.Errorf("users file: %w", err)
	}
	_, err = temporary.WriteString(text)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("users file %s: %w", path, errors.Join(err, os.Remove(temporary.Name())))
	}
	return nil
}
