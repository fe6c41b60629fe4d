package plan

import (
	"strconv"
	"strings"

	"shardway/router/parse"
	"shardway/router/parse/rewrite"
)

// pickOrder has the SELECT sort as the statement does. A number is a position in a SELECT; in an UPDATE or DELETE it is a
// column that there isn't, or a constant by which nothing is sorted.
func (b *builder) pickOrder(p *Pick, n *rewrite.Norm, c *rewrite.Change) Plan {
	kept, before := 0, 0 // before: how many items aren't numbers
	order := rewrite.New(n)
	for _, item := range c.Order {
		number, constant := b.constant(n, item)
		if number == "" {
			before++
		}
		switch {
		case number != "" && b.f.Reopens && b.st.Kind == parse.Update && within(number, before):
			continue // to MariaDB the position of one of those, by which the rows are sorted already
		case number != "":
			clause := "order clause"
			if b.f.Reopens {
				clause = "ORDER BY"
			}
			return &Refuse{Code: 1054, State: "42S22", Message: "Unknown column '" + number + "' in '" + clause + "'"}
		case constant:
			continue
		case kept > 0:
			order.Text(",")
		default:
			order.Text("ORDER BY")
		}
		order.Copy(item)
		kept++
	}
	if kept == len(c.Order) {
		order = rewrite.New(n).Copy(c.OrderBy)
	}
	p.Rows.Join(order)
	return nil
}

func within(number string, most int) bool {
	n, err := strconv.Atoi(number)
	return err == nil && n > 0 && n <= most
}

// constant reports whether an item of ORDER BY is a literal or a bound value. number is its text where the server takes it
// for a column: a whole number, to MySQL one that is written without a sign.
func (b *builder) constant(n *rewrite.Norm, item rewrite.Range) (number string, constant bool) {
	from, to := item.From, item.To
	if up := n.Tokens[to-1].Up; up == "ASC" || up == "DESC" {
		to--
	}
	for to-from > 2 && n.Tokens[from].Up == "(" && n.Tokens[to-1].Up == ")" {
		from, to = from+1, to-1
	}
	negative := false
	for to-from > 1 && (n.Tokens[from].Up == "-" || n.Tokens[from].Up == "+") {
		negative = negative != (n.Tokens[from].Up == "-")
		from++
	}
	if to-from != 1 {
		return "", false
	}
	maria := b.f.Reopens
	switch n.Tokens[from].Up {
	case "NULL":
		return "", true
	case "TRUE":
		if maria {
			return "1", true
		}
		return "", true
	case "FALSE":
		if maria {
			return "0", true
		}
		return "", true
	}
	bound := false
	switch at, ok := n.Marker(from); {
	case n.Literal(from):
		number = nameAt(n, from)
	case !ok:
		return "", false
	case at < len(b.args) && (b.args[at].Kind == parse.Int || b.args[at].Kind == parse.Uint):
		number, bound = strings.TrimPrefix(b.args[at].String(), "u"), b.args[at].Bound
	}
	if strings.Trim(number, "0123456789-") != "" || !maria && (bound || negative) {
		return "", true
	}
	if negative && number != "" {
		number = "-" + number
	}
	return number, true
}
