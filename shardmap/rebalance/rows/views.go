package rows

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"shardway/shardmap"
)

// View is a view as a server describes it.
type View struct {
	Schema, Name string
	Create       string // SHOW CREATE VIEW, in which each table has its schema

	collation string // of the connection that made it: literals in it are of it
	algorithm string // "" where the text has none
	body      string // Create from the word VIEW on: name, columns, SELECT and check option
}

// String is the quoted name.
func (v *View) String() string {
	return shardmap.QuoteName(v.Schema) + "." + shardmap.QuoteName(v.Name)
}

// Same says whether two views show the same, whoever made them.
func (v *View) Same(o *View) bool { return v.body == o.body }

// names says whether the view's text has a table's or view's name in it, with its schema.
func (v *View) names(schema, name string) bool {
	return strings.Contains(strings.ToLower(v.body), strings.ToLower(shardmap.QuoteName(schema)+"."+shardmap.QuoteName(name)))
}

// algorithm is what SHOW CREATE VIEW begins with.
var algorithm = regexp.MustCompile(`^CREATE ALGORITHM=(\w+) `)

// Views are the views of a database, in the order of their names. One that the server doesn't show, because what it reads
// is gone, is left out: nobody can read it.
func (s *Session) Views(ctx context.Context, schema string) (all []*View, err error) {
	if err := s.exec(ctx, "SET character_set_results='utf8mb4'"); err != nil {
		return nil, err
	}
	defer func() {
		if e := s.exec(ctx, "SET character_set_results=NULL"); err == nil {
			err = e
		}
	}()
	list, err := s.Query(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA=? AND TABLE_TYPE='VIEW' ORDER BY TABLE_NAME", schema)
	if err != nil {
		return nil, err
	}
	defer list.Close()
	for list.Next() {
		v := &View{}
		if err := list.Scan(&v.Schema, &v.Name); err != nil {
			return nil, s.fail("views", err)
		}
		all = append(all, v)
	}
	if err := list.Err(); err != nil {
		return nil, s.fail("views", err)
	}
	shown := all[:0]
	for _, v := range all {
		switch err := s.describeView(ctx, v); {
		case unreadable(err):
		case err != nil:
			return nil, err
		default:
			shown = append(shown, v)
		}
	}
	return shown, nil
}

func (s *Session) describeView(ctx context.Context, v *View) error {
	query := "SHOW CREATE VIEW " + v.String()
	var name, charset string
	if err := s.conn.QueryRowContext(ctx, query).Scan(&name, &v.Create, &charset, &v.collation); err != nil {
		return s.fail(query, err)
	}
	at := strings.Index(v.Create, " VIEW "+v.String()+" ")
	if at < 0 {
		return fmt.Errorf("%s: the definition of view %s isn't understood: it begins with %.80q", s.addr, v, v.Create)
	}
	v.body = v.Create[at+1:]
	if found := algorithm.FindStringSubmatch(v.Create); found != nil {
		v.algorithm = found[1]
	}
	return nil
}

// Over are those of a database's views that read sharded tables of it, themselves or by other views, and no sharded
// tables of the map's other databases: what each shard with slots of the database has.
func Over(views []*View, d *shardmap.Database, others []*shardmap.Database) []*View {
	reads := map[*View]bool{}
	for more := true; more; {
		more = false
		for _, v := range views {
			if reads[v] {
				continue
			}
			reads[v] = slices.ContainsFunc(d.Tables, func(t *shardmap.Table) bool { return t.Sharded() && v.names(v.Schema, t.Name) }) ||
				slices.ContainsFunc(views, func(o *View) bool { return reads[o] && v.names(o.Schema, o.Name) })
			more = more || reads[v]
		}
	}
	var all []*View
	for _, v := range views {
		elsewhere := slices.ContainsFunc(others, func(o *shardmap.Database) bool {
			return !strings.EqualFold(o.Name, d.Name) && slices.ContainsFunc(o.Tables, func(t *shardmap.Table) bool { return t.Sharded() && v.names(o.Name, t.Name) })
		})
		if reads[v] && !elsewhere {
			all = append(all, v)
		}
	}
	return all
}

// CreateViews makes views that another server has, in an order in which it can be done. Those of which something isn't
// there are left over, with the server's error for each. A definer that the account may not give, or who isn't there or
// may not read what the view reads, is left out: who reads such a view needs the rights for its tables, as SQL SECURITY
// INVOKER says.
func (s *Session) CreateViews(ctx context.Context, views []*View) (left map[*View]error, err error) {
	for len(views) > 0 {
		left = map[*View]error{}
		for _, v := range views {
			err := s.createView(ctx, v)
			switch {
			case unreadable(err):
				left[v] = err
			case err != nil:
				return nil, err
			}
		}
		if len(left) == len(views) {
			return left, nil
		}
		views = slices.DeleteFunc(slices.Clone(views), func(v *View) bool { return left[v] == nil })
	}
	return nil, nil
}

// unreadable says that something that a view reads isn't there: a table, a database, a function, a column.
func unreadable(err error) bool {
	return slices.Contains([]uint16{1146, 1049, 1305, 1054, 1356}, number(err))
}

// powerless says that a view's definer isn't there, or may not read what it reads.
func powerless(err error) bool {
	return slices.Contains([]uint16{1045, 1449, 1356, 1142, 1143, 1370}, number(err))
}

func (s *Session) createView(ctx context.Context, v *View) (err error) {
	if err := s.exec(ctx, "SET collation_connection="+v.collation); err != nil {
		return err
	}
	defer func() {
		if e := s.exec(ctx, "SET NAMES utf8mb4"); err == nil {
			err = e
		}
		if e := s.exec(ctx, "SET character_set_results=NULL"); err == nil {
			err = e
		}
	}()
	own := "CREATE"
	if v.algorithm != "" {
		own += " ALGORITHM=" + v.algorithm
	}
	own += " SQL SECURITY INVOKER "
	err = s.exec(ctx, v.Create)
	switch number(err) {
	case 1227, 1449: // the account may not make views for others, or there is no such account
		return s.exec(ctx, own+v.body)
	}
	if err != nil {
		return err
	}
	// No row is read, but the definer's rights are looked at.
	rows, err := s.Query(ctx, "SELECT 1 FROM "+v.String()+" LIMIT 0")
	if err == nil {
		return rows.Close()
	}
	if !powerless(err) {
		return err
	}
	return s.exec(ctx, strings.Replace(own, "CREATE", "CREATE OR REPLACE", 1)+v.body)
}
