package digest

// FirstPart returns where the first of the statements that semicolons separate ends in a text, and where the next one
// begins: the semicolon is neither's. A text of one statement, with or without semicolons after it, has rest ==
// len(sql). A text whose strings or comments have no end, or that can hide quotes inside characters, is one statement.
//
// Semicolons in the bodies of procedures, functions, triggers and events, and of compound statements on their own,
// separate nothing. Where a body ends is found by its words; a text cut at the wrong place, or not cut, is a syntax
// error at the server, since each part is sent as one statement.
func FirstPart(sql []byte, mode Mode) (end, rest int) {
	if mode&MultibyteUnsafe != 0 && !IsASCII(sql) {
		return len(sql), len(sql)
	}
	p := parts{sql: sql, mode: mode, start: true}
	end, ok := p.scan()
	if !ok {
		return len(sql), len(sql)
	}
	rest = end
	for rest < len(sql) && (sql[rest] == ';' || isSpace(sql[rest])) {
		if rest++; sql[rest-1] == ';' {
			break
		}
	}
	if !p.blank(rest) {
		return end, rest
	}
	return end, len(sql)
}

// blank says whether nothing but white space and semicolons is left from i on.
func (p *parts) blank(i int) bool {
	for ; i < len(p.sql); i++ {
		if p.sql[i] != ';' && !isSpace(p.sql[i]) {
			return false
		}
	}
	return true
}

// parts finds the end of one statement.
type parts struct {
	sql  []byte
	mode Mode

	words int      // of the statement so far
	first []byte   // its first word
	head  head     // what stands before its body
	open  []string // the blocks that are open, by the word that ends them after END: "" for BEGIN
	depth int      // open parentheses
	start bool     // a statement of a body may begin here
	label bool     // the word before stood where a statement may begin
	// handler says that a DECLARE of a body goes on, whose statement may begin anywhere.
	handler  bool
	declares bool
	end      bool // the word before was END
	exec     bool // inside an executable comment
}

// head says how far the text before a body has been read.
type head uint8

const (
	headNone    head = iota // there is no body
	headCreate              // CREATE or ALTER, or what may stand between it and what it makes
	headRoutine             // PROCEDURE and FUNCTION: the body comes after the parentheses
	headParams              // after them
	headTrigger             // the body comes after FOR EACH ROW
	headEvent               // the body comes after DO
	headRest                // a package: nothing tells its end
)

// scan returns the place of the semicolon that ends the statement, or the text's length.
func (p *parts) scan() (end int, ok bool) {
	s := p.sql
	for i := 0; i < len(s); {
		switch c := s[i]; classes[c] {
		case cSpace:
			i++
		case cIdent:
			j := skipWord(s, i)
			p.word(s[i:j], i > 0 && s[i-1] == '.')
			i = j
		case cDigit:
			end, _ := skipNumber(s, i)
			i = end
			p.other(0)
		case cQuote, cTick:
			escapes := p.mode&NoBackslashEscapes == 0 && c != '`' && (c != '"' || p.mode&AnsiQuotes == 0)
			j, _, closed := skipString(s, i, escapes)
			if !closed {
				return 0, false
			}
			p.label = p.start && c == '`'
			p.other('x')
			i = j
		case cAt:
			j, closed := skipVariable(s, i)
			if !closed {
				return 0, false
			}
			p.other(0)
			i = j
		case cHash:
			i = skipLineComment(s, i)
		case cMinus:
			if isDashComment(s, i) {
				i = skipLineComment(s, i)
				continue
			}
			p.other(0)
			i++
		case cSlash:
			if i+1 >= len(s) || s[i+1] != '*' {
				p.other(0)
				i++
				continue
			}
			kind, body := executable(s, i)
			if kind != execNot {
				p.exec = true
				i = body
				continue
			}
			j, closed := skipBlockComment(s, i)
			if !closed {
				return 0, false
			}
			i = j
		case cStar:
			if p.exec && i+1 < len(s) && s[i+1] == '/' {
				p.exec = false
				i += 2
				continue
			}
			p.other(0)
			i++
		case cSemi:
			if len(p.open) == 0 && p.depth <= 0 && p.head != headRest {
				return i, true
			}
			p.begin()
			i++
		default:
			p.other(c)
			i++
		}
	}
	return len(s), true
}

// begin says that a statement of a body may begin at the next word.
func (p *parts) begin() {
	p.start, p.label, p.handler, p.declares, p.end = true, false, false, false, false
}

// other takes over what is no word.
func (p *parts) other(c byte) {
	switch c {
	case '(':
		p.depth++
	case ')':
		if p.depth--; p.depth == 0 && p.head == headRoutine {
			p.head = headParams
		}
	case ':':
		if p.label && len(p.open)+int(p.head) > 0 {
			p.begin() // a block with a label
			return
		}
	case 'x': // a quoted name may be a label
		p.start, p.end = false, false
		p.words++
		return
	}
	p.start, p.label, p.end = false, false, false
	p.words++
}

// word takes over a word; after a dot it is a name.
func (p *parts) word(w []byte, name bool) {
	p.words++
	was, ended := p.start, p.end
	p.start, p.label, p.end = false, was, false
	if name {
		return
	}
	if p.words == 1 {
		p.first = w
		if word(w, "CREATE") || word(w, "ALTER") {
			p.head = headCreate
			return
		}
		if len(w) > 0 && word(w, "BEGIN") {
			return // a transaction, unless NOT ATOMIC follows
		}
	}
	if p.words == 3 && word(w, "ATOMIC") && word(p.first, "BEGIN") {
		p.open = append(p.open, "")
		p.begin()
		return
	}
	if p.header(w) {
		return
	}
	if ended && len(p.open) > 0 {
		// END was taken for the end of a block already; this is the word that belongs to it.
		if k := closes(w); k != "" {
			return
		}
	}
	p.block(w, was)
}

// header takes over a word before the body.
func (p *parts) header(w []byte) bool {
	switch p.head {
	case headCreate:
		switch {
		case word(w, "PROCEDURE"), word(w, "FUNCTION"):
			p.head = headRoutine
		case word(w, "TRIGGER"):
			p.head = headTrigger
		case word(w, "EVENT"):
			p.head = headEvent
		case word(w, "PACKAGE"):
			p.head = headRest
		case word(w, "TABLE"), word(w, "VIEW"), word(w, "DATABASE"), word(w, "SCHEMA"), word(w, "USER"), word(w, "INDEX"):
			p.head = headNone
		}
		return true
	case headRoutine, headRest:
		return true
	case headParams:
		switch {
		case p.depth > 0:
			return true
		case word(w, "BEGIN"), word(w, "IF"), word(w, "CASE"), word(w, "LOOP"), word(w, "REPEAT"), word(w, "WHILE"):
			p.head = headNone
			p.block(w, true)
			return true
		case begins(w):
			p.head = headNone
			return false
		}
		p.label = true // a label, or a characteristic
		return true
	case headTrigger:
		if word(w, "ROW") {
			p.head = headNone
			p.begin()
		}
		return true
	case headEvent:
		if word(w, "DO") {
			p.head = headNone
			p.begin()
		}
		return true
	default:
		return false
	}
}

// begins says whether a word begins a statement that is no block.
func begins(w []byte) bool {
	switch len(w) {
	case 3:
		return word(w, "SET")
	case 4:
		return word(w, "CALL") || word(w, "WITH") || word(w, "DROP")
	case 5:
		return word(w, "ALTER")
	case 6:
		return word(w, "RETURN") || word(w, "SELECT") || word(w, "INSERT") || word(w, "UPDATE") || word(w, "DELETE") || word(w, "CREATE")
	case 7:
		return word(w, "EXECUTE") || word(w, "PREPARE")
	case 8:
		return word(w, "TRUNCATE")
	}
	return false
}

// closes is the word that stands after END where a block of that word ends, "" for other words.
func closes(w []byte) string {
	for _, k := range [...]string{"IF", "CASE", "LOOP", "REPEAT", "WHILE", "FOR"} {
		if word(w, k) {
			return k
		}
	}
	return ""
}

// block takes over a word of a body, or of a statement without one. was says that a statement may begin with it.
func (p *parts) block(w []byte, was bool) {
	top, inside := "", len(p.open) > 0
	if inside {
		top = p.open[len(p.open)-1]
	}
	switch {
	case was && word(w, "DECLARE"):
		p.declares = true
		return
	case p.declares && word(w, "HANDLER"):
		p.handler = true
		return
	case p.handler && word(w, "FOR"):
		return
	}
	at := was || p.handler
	switch {
	case word(w, "BEGIN"):
		if at && (inside || p.words > 1) {
			p.push("")
			p.begin()
		}
	case word(w, "CASE"):
		switch {
		case at:
			p.push("CASE")
		case inside || p.words > 1:
			p.push("case") // an expression
		}
	case word(w, "IF"), word(w, "WHILE"), word(w, "FOR"):
		if at {
			p.push(closes(w))
		}
	case word(w, "LOOP"), word(w, "REPEAT"):
		if at {
			p.push(closes(w))
			p.begin()
		}
	case !inside:
	case word(w, "THEN"), word(w, "ELSE"):
		if top == "IF" || top == "CASE" {
			p.begin()
		}
	case word(w, "DO"):
		if top == "WHILE" || top == "FOR" {
			p.begin()
		}
	case word(w, "END"):
		if was || top == "case" || top == "REPEAT" {
			p.open = p.open[:len(p.open)-1]
			p.end = top != "case"
		}
	}
}

func (p *parts) push(kind string) {
	p.open = append(p.open, kind)
	p.handler, p.declares = false, false
}
