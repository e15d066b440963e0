package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// IsConstraint reports whether PostgreSQL refused what a row holds: the classes 22
// (data exception) and 23 (integrity constraint violation) of its error codes.
func IsConstraint(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (strings.HasPrefix(e.Code, "22") || strings.HasPrefix(e.Code, "23"))
}
