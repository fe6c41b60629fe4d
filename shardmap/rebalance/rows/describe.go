package rows

import (
	"context"
	"database/sql"
)

// Describe reads what a table is. The error is [ErrNoTable] where there is none.
func Describe(ctx context.Context, db *sql.DB, schema, table string) (*Table, error) {
	panic("to do")
}
