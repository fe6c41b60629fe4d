package gather

// Rename gives a column's definition another name of its table, where it has one of the names: a reader of the result
// sees the table, not its copy. The definition is changed or copied.
func Rename(def []byte, names map[string]string) []byte {
	at := 0
	for range 3 { // catalog, schema, the table's alias
		if at >= len(def) || def[at] >= 0xfb {
			return def
		}
		at += 1 + int(def[at])
	}
	if at >= len(def) || def[at] >= 0xfb || at+1+int(def[at]) > len(def) {
		return def
	}
	end := at + 1 + int(def[at])
	name, ok := names[string(def[at+1:end])]
	if !ok || len(name) >= 0xfb {
		return def
	}
	out := append(make([]byte, 0, len(def)+len(name)), def[:at]...)
	out = append(append(out, byte(len(name))), name...)
	return append(out, def[end:]...)
}
