package cert

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/morango-go/morango/ident"
)

// The bounds of a chain.
const (
	MaxChain      = 32
	MaxChainBytes = 1 << 20
)

// The widths of the columns that a certificate is kept in, in characters.
const (
	maxName = 20 // profile and scope definition
	maxSalt = 32
)

// signed is the JSON that a signature covers. Pointers tell what is missing.
// Other members are allowed: a newer peer may sign more.
type signed struct {
	ID              *string `json:"id"`
	ParentID        *string `json:"parent_id"`
	Profile         *string `json:"profile"`
	Salt            *string `json:"salt"`
	ScopeDefinition *string `json:"scope_definition_id"`
	ScopeVersion    *int    `json:"scope_version"`
	ScopeParams     *string `json:"scope_params"`
	PublicKey       *string `json:"public_key_string"`
}

// presented is the part of a travelling certificate that counts.
type presented struct {
	ID         *string `json:"id"`
	Serialized *string `json:"serialized"`
	Signature  *string `json:"signature"`
}

// Parse reads a certificate from the text that was signed and its signature.
// Nothing is verified yet: see Check.
func Parse(serialized, signature string) (*Certificate, error) {
	var s signed
	if err := json.Unmarshal([]byte(serialized), &s); err != nil {
		return nil, wrong(ErrMalformed, "", "serialized text is not the JSON of a certificate: %v", err)
	}
	if s.ID == nil || s.Profile == nil || s.ScopeDefinition == nil || s.ScopeVersion == nil ||
		s.ScopeParams == nil || s.PublicKey == nil {
		return nil, wrong(ErrMalformed, "", "serialized text lacks a member that every certificate has")
	}
	key, err := ParsePublic(*s.PublicKey)
	if err != nil {
		return nil, wrong(ErrMalformed, "", "%v", err)
	}
	c := &Certificate{
		ID: *s.ID, ParentID: orEmpty(s.ParentID), Profile: *s.Profile, Salt: orEmpty(s.Salt),
		ScopeDefinition: *s.ScopeDefinition, ScopeVersion: *s.ScopeVersion, ScopeParams: *s.ScopeParams,
		PublicKey: key.String(), Serialized: serialized, Signature: signature,
	}
	return c, c.checkFields()
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// checkFields refuses what the tables could not hold, so that a hostile
// certificate fails here and not in the middle of a transaction.
func (c *Certificate) checkFields() error {
	if !ident.Valid(c.ID) {
		return wrong(ErrMalformed, "", "id %.40q is not 32 lower-case hex digits", c.ID)
	}
	if c.ParentID != "" && !ident.Valid(c.ParentID) {
		return wrong(ErrMalformed, c.ID, "parent id %.40q is not 32 lower-case hex digits", c.ParentID)
	}
	for _, text := range []struct {
		name, value string
		max         int
	}{
		{"profile", c.Profile, maxName},
		{"scope definition", c.ScopeDefinition, maxName},
		{"salt", c.Salt, maxSalt},
		{"scope parameters", c.ScopeParams, MaxChainBytes},
		{"serialized text", c.Serialized, MaxChainBytes},
		{"signature", c.Signature, maxKeyText},
	} {
		if utf8.RuneCountInString(text.value) > text.max {
			return wrong(ErrMalformed, c.ID, "%s is longer than %d characters", text.name, text.max)
		}
		if strings.ContainsRune(text.value, 0) || !utf8.ValidString(text.value) {
			return wrong(ErrMalformed, c.ID, "%s holds NUL or invalid UTF-8", text.name)
		}
	}
	if c.ScopeVersion < math.MinInt32 || c.ScopeVersion > math.MaxInt32 {
		return wrong(ErrMalformed, c.ID, "scope version %d is out of range", c.ScopeVersion)
	}
	return nil
}

// ParseLink reads one travelling certificate (the JSON of Link).
func ParseLink(text []byte) (*Certificate, error) {
	if len(text) > MaxChainBytes {
		return nil, wrong(ErrMalformed, "", "%d bytes are too many, at most %d", len(text), MaxChainBytes)
	}
	var p presented
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, wrong(ErrMalformed, "", "not the JSON of a certificate: %v", err)
	}
	if p.ID == nil || p.Serialized == nil || p.Signature == nil {
		return nil, wrong(ErrMalformed, "", "id, serialized or signature is missing")
	}
	c, err := Parse(*p.Serialized, *p.Signature)
	if err != nil {
		return nil, err
	}
	if *p.ID != c.ID {
		return nil, wrong(ErrChain, c.ID, "presented under another id, %.40q", *p.ID)
	}
	return c, nil
}

// ParseChain reads a list of travelling certificates, root first.
// The list is bounded to MaxChain certificates and MaxChainBytes bytes.
func ParseChain(text []byte) ([]*Certificate, error) {
	if len(text) > MaxChainBytes {
		return nil, wrong(ErrMalformed, "", "a chain of %d bytes is too long, at most %d", len(text), MaxChainBytes)
	}
	links, err := splitList(text)
	if err != nil {
		return nil, err
	}
	if len(links) == 0 || len(links) > MaxChain {
		return nil, wrong(ErrMalformed, "", "a chain has 1 to %d certificates, not %d", MaxChain, len(links))
	}
	return parseLinks(links)
}

// ParseList reads a list of travelling certificates that need not belong
// together; it may be empty. The caller bounds the text.
func ParseList(text []byte) ([]*Certificate, error) {
	links, err := splitList(text)
	if err != nil {
		return nil, err
	}
	return parseLinks(links)
}

func splitList(text []byte) ([]jsontext.Value, error) {
	var links []jsontext.Value
	if err := json.Unmarshal(text, &links); err != nil {
		return nil, wrong(ErrMalformed, "", "not a JSON list of certificates: %v", err)
	}
	return links, nil
}

func parseLinks(links []jsontext.Value) ([]*Certificate, error) {
	list := make([]*Certificate, len(links))
	for i, link := range links {
		c, err := ParseLink(link)
		if err != nil {
			return nil, err
		}
		list[i] = c
	}
	return list, nil
}
