package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/morango-go/morango/db"
)

// Problem is a record that lies in the store and cannot be applied to the
// application's tables yet.
type Problem struct {
	ID, Model, Partition string
	Reason               string
	TransferSession      string // that brought it here; "" when it is not known
}

// refused is the condition that a record could not be applied, in the words of the lean
// layout's index.
const refused = `dirty_bit AND deserialization_error <> ''`

// Problems lists up to limit records of the profile that carry a deserialization
// error, with ids greater than after, in id order. An empty after starts at the beginning.
func Problems(ctx context.Context, tx *db.Tx, profile, after string, limit int) ([]Problem, error) {
	return problems(ctx, tx, refused, profile, after, limit)
}

// Strangers lists like Problems the records that wait to be applied and are of a model
// that is none of models: this build's profile does not know it. They have no Reason.
func Strangers(ctx context.Context, tx *db.Tx, profile string, models []string, after string, limit int) ([]Problem, error) {
	return problems(ctx, tx, `dirty_bit AND deserialization_error = '' AND model_name NOT IN `+tx.Texts(2), profile, after, limit, db.JSONList(models))
}

func problems(ctx context.Context, tx *db.Tx, cond, profile, after string, limit int, more ...any) (list []Problem, err error) {
	args := append([]any{profile}, more...)
	if after != "" {
		args = append(args, after)
		cond += fmt.Sprintf(" AND id > $%d", len(args))
	}
	rows, err := tx.Query(ctx, fmt.Sprintf(`SELECT id, model_name, partition, deserialization_error, last_transfer_session_id
		FROM morango_store WHERE profile = $1 AND %s ORDER BY id LIMIT %d`, cond, limit), args...)
	if err != nil {
		return nil, fmt.Errorf("list records that could not be applied: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var p Problem
		var session sql.Null[db.ID]
		if err := rows.Scan((*db.ID)(&p.ID), &p.Model, &p.Partition, &p.Reason, &session); err != nil {
			return nil, fmt.Errorf("list records that could not be applied: %w", err)
		}
		p.TransferSession = string(session.V)
		list = append(list, p)
	}
	return list, rows.Err()
}

// CountProblems counts the records of the profile that carry a deserialization error, up
// to most: there may be many, and whoever shows the number wants it fast.
func CountProblems(ctx context.Context, tx *db.Tx, profile string, most int64) (n int64, err error) {
	err = tx.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT id FROM morango_store WHERE profile = $1 AND `+refused+` LIMIT $2) counted`,
		profile, most).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count records that could not be applied: %w", err)
	}
	return n, nil
}
