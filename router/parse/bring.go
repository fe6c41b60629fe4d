package parse

import (
	"slices"
	"strconv"
	"strings"

	"shardway/router/parse/digest"
	"shardway/router/parse/rewrite"
)

// Bring is what has to be known of one base table of a SELECT to bring its rows to another server, so that the statement
// gives there what it gives where they are.
type Bring struct {
	Block, Table int // Blocks[Block].Tables[Table]
	// Token is the table's name among Norm's tokens.
	Token int
	// All says that every column may be needed; else Columns are the names, in lower case, of which the table's columns
	// may be needed. They hold many names that are no columns.
	All     bool
	Columns []string
	// Demands are conditions on the table alone: rows that don't meet all of them can't matter.
	Demands []Demand
}

// Demand is a condition on the columns of one table whose value depends on nothing else. Its text names the columns
// without a qualifier.
type Demand struct {
	Parts   []DemandPart
	Columns []string // lower case
	// Strings and Numbers say which literals it holds. A server that compares them with columns of another type gives
	// warnings.
	Strings, Numbers bool
}

// DemandPart is a text followed by Args[Arg]; Arg is -1 for none.
type DemandPart struct {
	Text string
	Arg  int
}

// Loose is a Demand whose columns have no qualifier, in a block of several tables. It is one on the only table of
// Blocks[Block].Tables[From:To] that has all its columns, save one of Nulled, which an outer join may fill with NULLs.
type Loose struct {
	Demand
	Block, From, To int
	Nulled          []int
}

// Brings is what has to be known of a SELECT to run it on a server that gets the rows from others.
type Brings struct {
	Tables  []Bring  // the base tables of its blocks, in their order
	Commons []Common // its common table expressions, in the order of the text
	Loose   []Loose
	Norm    *rewrite.Norm
	// Why is set instead where the text can't be taken apart.
	Why string
}

// Brings says what has to be known to bring a SELECT's rows to another server.
func (st *Statement) Brings() *Brings {
	a := st.apart
	if a == nil || st.Kind != Select {
		return &Brings{Why: "the statement isn't a SELECT"}
	}
	a.bringOnce.Do(func() {
		b := &a.bring
		b.Tables, b.Loose, b.Why = st.brings(a.text, a.mode)
		n, ok := rewrite.NewNorm(a.text, a.mode)
		switch {
		case ok:
			b.Norm = n
			b.Commons = st.commons(a.text, a.mode)
		case b.Why == "":
			b.Why = "its text can't be taken apart"
		}
	})
	return &a.bring
}

// markName begins the names that take the place of a table's name, to see what the parser makes of it.
const markName = "shardway mark "

func (st *Statement) brings(text string, mode Mode) ([]Bring, []Loose, string) {
	if st.Is(FlagExecutable) {
		return nil, nil, "it holds an executable comment that only some servers run"
	}
	tokens := digest.Split([]byte(text), mode, true)
	if tokens.Bad != "" {
		return nil, nil, tokens.Bad
	}
	var list []Bring
	at := map[[2]int]int{}
	for i := range st.Blocks {
		for j := range st.Blocks[i].Tables {
			if t := &st.Blocks[i].Tables[j]; t.Source < 0 && t.Name != "" {
				at[[2]int{i, j}] = len(list)
				list = append(list, Bring{Block: i, Table: j, Token: -1})
			}
		}
	}
	if why := st.places(tokens, mode, list, at); why != "" {
		return nil, nil, why
	}
	src := split([]byte(text), mode, true)
	src.asked = &asked{stars: map[[2]int]bool{}, demands: map[[2]int][]Demand{}}
	again := parseSource(src)
	whole := src.bridged != nil || len(again.Blocks) != len(st.Blocks)
	for i := range list {
		b := &list[i]
		at := [2]int{b.Block, b.Table}
		b.All = src.asked.stars[at]
		if !whole {
			b.Demands = src.asked.demands[at]
		}
		b.Columns, b.All = st.columnsOf(b, tokens, b.All)
	}
	if whole {
		src.asked.loose = nil
	}
	return list, src.asked.loose, ""
}

// places finds the token of each table. A name in a text may be a table's, an alias, a column or a common table
// expression: the parser knows, so each candidate is replaced by another name, to see which table that renames.
func (st *Statement) places(src *digest.Source, mode Mode, list []Bring, at map[[2]int]int) string {
	if len(list) > maxBrings {
		return "it names more than " + strconv.Itoa(maxBrings) + " tables"
	}
	left, tries := len(list), 0
	for k, tok := range src.Tokens {
		if !tok.IsName() || left == 0 || k+1 < len(src.Tokens) && src.Tokens[k+1].Up == "." {
			continue
		}
		name := src.Name(tok)
		if !slices.ContainsFunc(list, func(b Bring) bool {
			return b.Token < 0 && st.Blocks[b.Block].Tables[b.Table].Name == name
		}) {
			continue
		}
		if k > 0 && slices.Contains(neverTables, src.Tokens[k-1].Up) {
			continue
		}
		if tries++; tries > maxTries {
			return "too many names in it are those of tables"
		}
		mark := markName + strconv.Itoa(k)
		text := string(src.Text[:tok.A]) + "`" + mark + "`" + string(src.Text[tok.B:])
		marked := parseSource(split([]byte(text), mode, true))
		if marked.Kind != Select || len(marked.Blocks) != len(st.Blocks) {
			continue
		}
		for i := range marked.Blocks {
			if len(marked.Blocks[i].Tables) != len(st.Blocks[i].Tables) {
				break
			}
			for j := range marked.Blocks[i].Tables {
				if n, ok := at[[2]int{i, j}]; ok && marked.Blocks[i].Tables[j].Name == mark && list[n].Token < 0 {
					list[n].Token = k
					left--
				}
			}
		}
	}
	if left > 0 {
		return "the place of a table's name in it isn't found"
	}
	return ""
}

// neverTables are words after which no table's name stands.
var neverTables = []string{"SELECT", "WHERE", "ON", "AND", "OR", "AS", "BY", "SET", "=", "<", ">", "+", "-", "HAVING"}

const (
	maxBrings = 61  // tables that a server joins
	maxTries  = 300 // parses for one statement
)

// columnsOf lists the names that may mean columns of a table: all names of the text but those with another table's
// qualifier. all grows by what makes every column needed.
func (st *Statement) columnsOf(b *Bring, src *digest.Source, all bool) ([]string, bool) {
	t := &st.Blocks[b.Block].Tables[b.Table]
	visible := t.Alias
	if visible == "" {
		visible = t.Name
	}
	var names []string
	for k, tok := range src.Tokens {
		prev, next := src.Tokens[max(k-1, 0)].Up, src.Tokens[min(k+1, len(src.Tokens)-1)].Up
		qualified := k >= 2 && prev == "."
		mine := !qualified || strings.EqualFold(src.Name(src.Tokens[k-2]), visible)
		switch {
		case tok.Up == "*" && qualified && mine:
			all = true
		case !tok.IsName() || !mine || next == "." || tok.Kind == digest.TokWord && next == "(" && !qualified:
		default:
			names = append(names, lower(src.Name(tok)))
		}
	}
	for k := b.Token + 1; k < len(src.Tokens) && k < b.Token+6; k++ {
		switch src.Tokens[k].Up {
		case "USE", "FORCE", "IGNORE": // an index, whose columns aren't known
			all = true
		case ",", ")", "JOIN", "ON", "WHERE":
			k = len(src.Tokens)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), all
}
