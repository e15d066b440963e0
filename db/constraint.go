package db

import (
	"github.com/morango-go/morango/db/postgres"
	"github.com/morango-go/morango/db/sqlite"
)

// IsConstraint reports whether the database refused a statement or a commit for
// what the rows hold (a unique column that clashes, a foreign key without its
// target, a null, a check, a value that the column cannot hold), and not because
// something is wrong with the database. Leaving out the rows at fault helps.
func IsConstraint(err error) bool {
	return sqlite.IsConstraint(err) || postgres.IsConstraint(err)
}
