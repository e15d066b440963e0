package cert

// Link is a certificate as it travels: the JSON object of a chain, of a CSR's
// answer and of certificate lists. Only Serialized, Signature and ID count; the
// others are copies.
type Link struct {
	ID              string  `json:"id"`
	Parent          *string `json:"parent"`
	Profile         string  `json:"profile"`
	ScopeDefinition string  `json:"scope_definition"`
	ScopeVersion    int     `json:"scope_version"`
	ScopeParams     string  `json:"scope_params"`
	PublicKey       string  `json:"public_key"`
	Serialized      string  `json:"serialized"`
	Signature       string  `json:"signature"`
	Salt            string  `json:"salt"`
}

// Link gives the travelling form of the certificate, without its private key.
func (c *Certificate) Link() Link { panic("not written") }

// Links gives the travelling forms of certificates in their order.
func Links(chain []*Certificate) []Link { panic("not written") }

// Parse reads a certificate from the text that was signed and its signature.
func Parse(serialized, signature string) (*Certificate, error) { panic("not written") }

// ParseLink reads one travelling certificate (the JSON of Link).
func ParseLink(text []byte) (*Certificate, error) { panic("not written") }

// ParseChain reads a list of travelling certificates, root first.
// The list is bounded to MaxChain certificates and MaxChainBytes bytes.
func ParseChain(text []byte) ([]*Certificate, error) { panic("not written") }

// MarshalChain writes the list of travelling certificates as Python's json.dumps would.
func MarshalChain(chain []*Certificate) string { panic("not written") }

// Check checks the certificate against its parent (nil for a root): id,
// signature, profile, and that its scope only narrows.
func (c *Certificate) Check(parent *Certificate, defs Definitions) error { panic("not written") }

// CheckChain checks a chain that was presented, root first. Certificates that
// known finds are trusted as stored, and what was presented for them must be the
// same. expectedLastID is the id that the last must have, or "".
// It returns those that are new, root first, to be saved in that order.
func CheckChain(chain []*Certificate, expectedLastID string, defs Definitions, known func(id string) (*Certificate, bool)) ([]*Certificate, error) {
	panic("not written")
}

// The bounds of a chain.
const (
	MaxChain      = 32
	MaxChainBytes = 1 << 20
)
