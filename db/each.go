package db

import "context"

// Each runs a statement once for each row of values, with those that all rows have in common
// bound before them, and returns the rows for which it changed nothing. It is meant for
// SQLite, where one statement for many rows is slower, and where updating a row that is there
// takes half of what an insert with a conflict clause does (see insertEach). Parameters are
// question marks.
func (t *Tx) Each(ctx context.Context, statement string, same []any, rows [][]any) (idle [][]any, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	t.fresh = false
	prepared, err := t.tx.PrepareContext(ctx, statement)
	if err != nil {
		return nil, err
	}
	defer prepared.Close()
	unwatched := context.WithoutCancel(ctx) // as in insertEach
	var args []any
	for i, row := range rows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		args = arguments(args[:0], same, rows[i:i+1])
		result, err := prepared.ExecContext(unwatched, args...)
		if err != nil {
			return nil, err
		}
		changed, err := result.RowsAffected()
		if err != nil {
			return nil, err
		}
		if changed == 0 {
			idle = append(idle, row)
		}
	}
	return idle, nil
}
