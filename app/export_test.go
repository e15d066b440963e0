package app

import "github.com/morango-go/morango/db"

// AsStoredQuery is the query of AsStored, for a look at its plan.
func AsStoredQuery(tx *db.Tx, table string) string { return asStored(tx, table) }
