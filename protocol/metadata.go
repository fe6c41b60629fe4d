package protocol

// translates says whether column definitions differ between the source and dst:
// one of them has CapExtendedMetadata and the other one hasn't.
func (f *forward) translates() bool {
	return f.dst != nil && (f.src.caps ^ f.dst.caps).Has(CapExtendedMetadata)
}

// definition relays a column definition in dst's form.
func (f *forward) definition(n int) error {
	p, _, err := f.peek(n)
	if err != nil {
		return err
	}
	def, err := convertDefinition(nil, p, f.dst.caps.Has(CapExtendedMetadata))
	if err != nil {
		return f.server(err)
	}
	if err := f.emit(); err != nil {
		return err
	}
	if err := f.client(f.dst.WritePacket(def)); err != nil {
		return err
	}
	return f.drop(n)
}

// convertDefinition appends a column definition with or without MariaDB's
// extended metadata, a string after the column's names.
func convertDefinition(dst, def []byte, extended bool) ([]byte, error) {
	d := decoder{p: def}
	for range 6 { // catalog, schema, table, original table, name, original name
		d.lenString()
	}
	dst = append(dst, def[:len(def)-len(d.p)]...)
	if extended {
		dst = append(dst, 0)
	} else {
		d.lenString()
	}
	if d.bad {
		return nil, malformed("a column definition of %d bytes ends early", len(def))
	}
	return append(dst, d.p...), nil
}
