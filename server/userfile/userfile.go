// Package userfile is the built-in authenticator: a text file of user names and
// password hashes.
//
// It belongs to the network layer, as an adapter of package server, which it
// imports and nothing else of the project. On a row's path it decides who may join a
// device at all.
//
// One user a line, fields with colons in between:
//
//	name:hash[:scope definitions[:parameters]]
//
// The hash is argon2id in PHC form ($argon2id$v=19$m=..,t=..,p=..$salt$key) or bcrypt
// ($2a$, $2b$, $2y$). Scope definitions, separated by commas, are those that the user
// may have certificates for; all when empty. Parameters, key=value separated by
// commas, must stand in the certificate's parameters just so. Empty lines and lines
// that begin with # are passed over.
package userfile

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/morango-go/morango/server"
)

// maxSize bounds the file, in bytes.
const maxSize = 16 << 20

// Account is one line of the file.
type Account struct {
	Name   string
	Scopes []string          // scope definitions that may be certified; empty for all
	Params map[string]string // parameters that a certificate must have
	hash   hash
}

// MayCertify implements server.User.
func (a Account) MayCertify(scopeDefinition string, params map[string]any) bool {
	allowed := len(a.Scopes) == 0
	for _, scope := range a.Scopes {
		allowed = allowed || scope == scopeDefinition
	}
	for key, value := range a.Params {
		text, isText := params[key].(string)
		allowed = allowed && isText && text == value
	}
	return allowed
}

// File is a file of users. Make it with Open; it is safe for concurrent use. A
// change of the file counts from the next request on.
type File struct {
	path string
	busy chan struct{} // bounds the hashes computed at a time, for each takes memory

	mu       sync.Mutex
	seen     time.Time
	size     int64
	accounts map[string]Account
	decoy    hash // of the same cost as those in the file, for names that are not in it
}

// Open reads a file of users, which must be there and right.
func Open(path string) (*File, error) {
	f := &File{path: path, busy: make(chan struct{}, 2)}
	_, _, err := f.lookup("")
	return f, err
}

// Authenticate implements server.Authenticator. A file that was changed into one
// that cannot be read lets nobody in.
func (f *File) Authenticate(ctx context.Context, userArgs map[string]string, password string) (server.User, error) {
	account, known, err := f.lookup(userArgs["username"])
	if err != nil {
		return nil, err
	}
	select {
	case f.busy <- struct{}{}:
		defer func() { <-f.busy }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if right := account.hash.matches(password); !right || !known {
		return nil, server.ErrCredentials
	}
	return account, nil
}

// lookup finds an account, reading the file again when it has changed. For a name
// that is not there it gives a decoy, so that looking it up costs the same.
func (f *File) lookup(name string) (account Account, known bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return account, false, fmt.Errorf("users file: %w: make one with: morango user add", err)
	}
	if f.accounts == nil || !info.ModTime().Equal(f.seen) || info.Size() != f.size {
		accounts, order, err := read(f.path)
		if err != nil {
			return account, false, err
		}
		f.accounts, f.seen, f.size = accounts, info.ModTime(), info.Size()
		f.decoy = defaultDecoy()
		if len(order) > 0 {
			f.decoy = accounts[order[0]].hash
		}
	}
	if account, known = f.accounts[name]; !known {
		account = Account{hash: f.decoy}
	}
	return account, known, nil
}

// read reads the whole file. order lists the names as they stand in it.
func read(path string) (accounts map[string]Account, order []string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("users file: %w", err)
	}
	if len(text) > maxSize {
		return nil, nil, fmt.Errorf("users file %s: larger than %d bytes", path, maxSize)
	}
	accounts = map[string]Account{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		account, err := parse(line)
		if err != nil {
			return nil, nil, fmt.Errorf("users file %s, line %d: %w", path, number, err)
		}
		if _, twice := accounts[account.Name]; twice {
			return nil, nil, fmt.Errorf("users file %s, line %d: user %q stands there twice", path, number, account.Name)
		}
		accounts[account.Name] = account
		order = append(order, account.Name)
	}
	if err := lines.Err(); err != nil {
		return nil, nil, fmt.Errorf("users file %s: %w", path, err)
	}
	return accounts, order, nil
}

// parse reads one line. Errors never quote the hash.
func parse(line string) (Account, error) {
	fields := strings.Split(line, ":")
	if len(fields) < 2 || len(fields) > 4 {
		return Account{}, fmt.Errorf("want name:hash[:scope definitions[:parameters]]")
	}
	account := Account{Name: fields[0]}
	if err := checkName(account.Name); err != nil {
		return account, err
	}
	var err error
	if account.hash, err = parseHash(fields[1]); err != nil {
		return account, fmt.Errorf("user %q: %w", account.Name, err)
	}
	if len(fields) > 2 && fields[2] != "" {
		account.Scopes = strings.Split(fields[2], ",")
	}
	if len(fields) > 3 && fields[3] != "" {
		account.Params = map[string]string{}
		for part := range strings.SplitSeq(fields[3], ",") {
			key, value, ok := strings.Cut(part, "=")
			if !ok {
				return account, fmt.Errorf("user %q: %q is no key=value", account.Name, part)
			}
			account.Params[key] = value
		}
	}
	return account, nil
}

// checkName refuses names that could not be told apart from the rest of a line or of
// an HTTP Basic header.
func checkName(name string) error {
	if name == "" || len(name) > 200 || strings.HasPrefix(name, "#") {
		return fmt.Errorf("user name %.40q is empty, too long or begins with #", name)
	}
	for _, c := range name {
		if strings.ContainsRune(":=&", c) || unicode.IsControl(c) || unicode.IsSpace(c) {
			return fmt.Errorf("user name %.40q has a space, a control character or one of : = & in it", name)
		}
	}
	return nil
}
