package userfile

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// hash is a stored password hash of either kind.
type hash struct {
	bcrypt []byte // the whole hash; nil for argon2id

	memory, rounds uint32 // argon2id: KiB, passes
	lanes          uint8
	salt, key      []byte
}

// What new hashes cost, and the most that the file may ask for.
const (
	newMemory, newRounds, newLanes = 19 << 10, 2, 1
	maxMemory, maxRounds, maxLanes = 1 << 20, 64, 64
	saltLength, keyLength          = 16, 32
	maxBcryptCost                  = 18
)

var errHash = errors.New("hash is neither argon2id in PHC form nor bcrypt")

// parseHash reads a hash and refuses costs that would stop the server.
func parseHash(text string) (hash, error) {
	if strings.HasPrefix(text, "$2") {
		cost, err := bcrypt.Cost([]byte(text))
		if err != nil {
			return hash{}, errHash
		}
		if cost > maxBcryptCost {
			return hash{}, fmt.Errorf("bcrypt cost %d is more than %d", cost, maxBcryptCost)
		}
		return hash{bcrypt: []byte(text)}, nil
	}
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return hash{}, errHash
	}
	var h hash
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.rounds, &h.lanes); n != 3 || err != nil {
		return hash{}, errHash
	}
	if h.memory < 8 || h.memory > maxMemory || h.rounds < 1 || h.rounds > maxRounds || h.lanes < 1 || h.lanes > maxLanes {
		return hash{}, fmt.Errorf("argon2id costs %s are out of bounds", parts[3])
	}
	var err error
	if h.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil || len(h.salt) < 8 {
		return hash{}, errHash
	}
	if h.key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(h.key) < 16 || len(h.key) > 128 {
		return hash{}, errHash
	}
	return h, nil
}

// matches compares a password in constant time.
func (h hash) matches(password string) bool {
	if h.bcrypt != nil {
		return bcrypt.CompareHashAndPassword(h.bcrypt, []byte(password)) == nil
	}
	key := argon2.IDKey([]byte(password), h.salt, h.rounds, h.memory, h.lanes, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(key, h.key) == 1
}

// newHash hashes a password with argon2id and a salt from random.
func newHash(password string, random io.Reader) (hash, error) {
	h := hash{memory: newMemory, rounds: newRounds, lanes: newLanes, salt: make([]byte, saltLength)}
	if _, err := io.ReadFull(random, h.salt); err != nil {
		return h, fmt.Errorf("make a salt: %w", err)
	}
	h.key = argon2.IDKey([]byte(password), h.salt, h.rounds, h.memory, h.lanes, keyLength)
	return h, nil
}

// String is the form in which an argon2id hash stands in the file.
func (h hash) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.rounds, h.lanes,
		b64.EncodeToString(h.salt), b64.EncodeToString(h.key))
}

// defaultDecoy is what unknown names are compared with when the file is empty.
func defaultDecoy() hash {
	return hash{memory: newMemory, rounds: newRounds, lanes: newLanes,
		salt: make([]byte, saltLength), key: make([]byte, keyLength)}
}
