package wire

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
)

// FormatError says that a body is not what the endpoint takes, as a whole. It
// travels as Detail with status 400.
type FormatError struct{ Reason string }

// Error is the reason.
func (e *FormatError) Error() string { return e.Reason }

// FieldErrors says what is wrong with which field: {"field": ["reason"]}. It is
// its own body, with status 400.
type FieldErrors map[string][]string

// Error lists the fields and reasons in order of names.
func (e FieldErrors) Error() string {
	var parts []string
	for _, field := range slices.Sorted(maps.Keys(e)) {
		parts = append(parts, field+": "+strings.Join(e[field], " "))
	}
	return strings.Join(parts, "; ")
}

func fieldError(field, reason string) FieldErrors { return FieldErrors{field: {reason}} }

// Detail is the most common error body.
type Detail struct {
	Detail string `json:"detail"`
}

// CertificateError is the error body of a certificate that breaks a rule.
type CertificateError struct {
	Class   string `json:"error_class"` // such as CertificateScopeNotSubset
	Message string `json:"error_message"`
}

// The texts of error bodies that the reference uses and peers may look at.
const (
	TextNotFound        = "Not found."
	TextNoCredentials   = "Authentication credentials were not provided."
	TextBadCredentials  = "Invalid credentials."
	TextNoPermission    = "You do not have permission to perform this action."
	TextOnlyPatch       = "Only PATCH updates allowed"
	TextNoPush          = "Specified TransferSession does not allow pushes."
	TextOneSession      = "All pushed records must be associated with the same TransferSession."
	TextChainFailed     = "Saving certificate chain has failed"
	TextChainSaved      = "Certificate chain has been saved"
	TextNoCertificate   = "Requested certificate does not exist!"
	TextOneProfile      = "Certificates must both be associated with the same profile"
	TextBadSignature    = "Client certificate failed to verify signature"
	TextBadNonce        = "Nonce is not valid"
	TextBadSaltNonce    = "Nonce (certificate's salt) is not valid"
	TextNotSharedKey    = "Shared public key was not used"
	TextNoSyncSession   = "Requested syncsession does not exist or is no longer active!"
	TextNoParent        = "Parent certificate (to sign the requested certificate) must be specified!"
	TextNoParentKey     = "Server does not have private key for requested parent certificate!"
	TextNoCertPushing   = "Server does not allow certificate pushing."
	TextClientNoPush    = "Client certificate scope does not permit pushing for the requested filter."
	TextServerNoReceive = "Server certificate scope does not permit receiving pushes for the requested filter."
	TextClientNoPull    = "Client certificate scope does not permit pulling for the requested filter."
	TextServerNoRespond = "Server certificate scope does not permit responding to pulls for the requested filter."
)

// maxErrorText bounds what ErrorText passes on of a peer's words, in bytes.
const maxErrorText = 500

// ErrorText finds the message in the body of an error answer, whichever of the
// forms it has: a string, a list of strings, a Detail, a CertificateError or
// FieldErrors. It is "" when there is none, as in an HTML page. What is no graphic
// character becomes a space: the text is shown on terminals, which some would command.
func ErrorText(body []byte) string {
	var value any
	if json.Unmarshal(body, &value) != nil {
		return ""
	}
	text := strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, strings.Join(texts(value, 0), "; "))
	return strings.ToValidUTF8(text[:min(len(text), maxErrorText)], "")
}

// texts collects the strings of a decoded error body.
func texts(value any, depth int) []string {
	if depth > 3 {
		return nil
	}
	var found []string
	switch value := value.(type) {
	case string:
		return append(found, value)
	case []any:
		for _, element := range value {
			found = append(found, texts(element, depth+1)...)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			inner := strings.Join(texts(value[name], depth+1), " ")
			switch name {
			case "detail", "error_class":
				found = append(found, inner)
			case "error_message":
				if inner != "" {
					found = append(found, inner)
				}
			default:
				found = append(found, fmt.Sprintf("%s: %s", name, inner))
			}
		}
	}
	return found
}
