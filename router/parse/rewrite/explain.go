package rewrite

// Explained takes an EXPLAIN apart: what is said of its form, and the statement that is explained. odd is a clause of it that
// is about more than the form.
func (n *Norm) Explained() (head, inner Range, odd string) {
	all := n.All()
	for at := all.From; at < all.To; at++ {
		switch n.Tokens[at].Up {
		case "EXPLAIN", "DESCRIBE", "DESC", "ANALYZE", "EXTENDED", "PARTITIONS":
		case "FORMAT": // = name
			if at++; at < all.To && n.Tokens[at].Up == "=" {
				at++
			}
		case "INTO", "FOR":
			return head, inner, n.Tokens[at].Up
		default:
			return Range{From: all.From, To: at}, Range{From: at, To: all.To}, ""
		}
	}
	return all, Range{From: all.To, To: all.To}, ""
}
