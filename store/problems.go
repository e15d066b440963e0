package store

import (
	"context"
	"fmt"

	"github.com/morango-go/morango/db"
)

// Problem is a record that lies in the store and cannot be applied to the
// application's tables yet.
type Problem struct {
	ID        string `json:"id"`
	Model     string `json:"model"`
	Partition string `json:"partition"`
	Reason    string `json:"reason"`
}

// Problems lists up to limit records of the profile that carry a deserialization
// error, in id order.
func Problems(ctx context.Context, tx *db.Tx, profile string, limit int) (problems []Problem, err error) {
	rows, err := tx.Query(ctx, `SELECT id, model_name, partition, deserialization_error FROM morango_store
		WHERE profile = $1 AND dirty_bit AND deserialization_error <> '' ORDER BY id LIMIT $2`, profile, limit)
	if err != nil {
		return nil, fmt.Errorf("list records that could not be applied: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var p Problem
		var id db.ID
		if err := rows.Scan(&id, &p.Model, &p.Partition, &p.Reason); err != nil {
			return nil, fmt.Errorf("list records that could not be applied: %w", err)
		}
		p.ID = string(id)
		problems = append(problems, p)
	}
	return problems, rows.Err()
}
