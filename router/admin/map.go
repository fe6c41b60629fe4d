package admin

import (
	"net/http"

	"shardway/shardmap"
)

// The JSON of /api/v1/map: the map in use, in the words of its YAML form.
type (
	mapDoc struct {
		Version   uint64        `json:"version"`
		Shards    []shardDoc    `json:"shards"`
		Databases []databaseDoc `json:"databases"`
	}
	shardDoc struct {
		ID       string      `json:"id"`
		Primary  string      `json:"primary"`
		Replicas []serverDoc `json:"replicas"`
	}
	serverDoc struct {
		Addr   string `json:"addr"`
		Weight int    `json:"weight"`
		Zone   string `json:"zone,omitempty"`
	}
	databaseDoc struct {
		Name         string              `json:"name"`
		Slots        int                 `json:"slots"`
		Owners       map[string][]string `json:"owners"`
		DefaultShard string              `json:"default_shard"`
		Tables       []tableDoc          `json:"tables"`
	}
	tableDoc struct {
		Name      string `json:"name"`
		Key       string `json:"key,omitempty"`
		Placement string `json:"placement,omitempty"`
		Sequence  string `json:"sequence,omitempty"`
		Fold      string `json:"fold,omitempty"`
		Reference bool   `json:"reference,omitempty"`
	}
)

func (h *Handler) mapJSON(w http.ResponseWriter, _ *http.Request) {
	a := h.router.Load()
	if a == nil || a.now() == nil {
		say(w, http.StatusServiceUnavailable, "starting: there is no shard map yet")
		return
	}
	h.json(w, document(a.now()))
}

func document(m *shardmap.Map) mapDoc {
	doc := mapDoc{Version: m.Version(), Shards: []shardDoc{}, Databases: []databaseDoc{}}
	for _, s := range m.Shards() {
		d := shardDoc{ID: s.ID, Primary: s.Primary.Addr, Replicas: []serverDoc{}}
		for _, r := range s.Replicas {
			d.Replicas = append(d.Replicas, serverDoc{r.Addr, r.Weight, r.Zone})
		}
		doc.Shards = append(doc.Shards, d)
	}
	for _, db := range m.Databases() {
		d := databaseDoc{Name: db.Name, Slots: db.Slots, Owners: map[string][]string{}, DefaultShard: db.Default.ID, Tables: []tableDoc{}}
		for _, s := range m.Shards() {
			if slots := db.Owned(s.ID); len(slots) > 0 {
				d.Owners[s.ID] = shardmap.FormatSlots(slots)
			}
		}
		for _, t := range db.Tables {
			td := tableDoc{Name: t.Name, Key: t.Key, Sequence: t.Sequence, Fold: t.Fold, Reference: t.Reference}
			if t.Sharded() {
				td.Placement = string(t.Placement)
			}
			d.Tables = append(d.Tables, td)
		}
		doc.Databases = append(doc.Databases, d)
	}
	return doc
}
