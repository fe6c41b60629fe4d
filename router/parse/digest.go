package parse

// Digest is a scanned text.
type Digest struct {
	Mode Mode
	Norm []byte  // the text with its literals as ?
	Args []Value // the literals in order
}

// Scan reads a text. It can't fail: what isn't SQL becomes a norm whose Statement is Unparsed.
func (d *Digest) Scan(sql []byte, mode Mode) {
	d.Mode, d.Norm, d.Args = mode, append(d.Norm[:0], sql...), d.Args[:0]
}
