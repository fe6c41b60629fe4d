package main

import "shardway/shardmap"

// The JSON form of a map, as `map show --output json` prints it.
type (
	mapJSON struct {
		Version   uint64         `json:"version"`
		Shards    []shardJSON    `json:"shards"`
		Databases []databaseJSON `json:"databases"`
	}
	shardJSON struct {
		ID       string       `json:"id"`
		Primary  serverJSON   `json:"primary"`
		Replicas []serverJSON `json:"replicas"`
		Paused   string       `json:"paused,omitempty"`
	}
	serverJSON struct {
		Addr   string `json:"addr"`
		Weight int    `json:"weight"`
		Zone   string `json:"zone"`
	}
	databaseJSON struct {
		Name         string              `json:"name"`
		Slots        int                 `json:"slots"`
		Owners       map[string][]string `json:"owners"`
		Moves        []moveJSON          `json:"moves,omitempty"`
		DefaultShard string              `json:"default_shard"`
		Tables       []tableJSON         `json:"tables"`
	}
	moveJSON struct {
		ID    string   `json:"id"`
		Slots []string `json:"slots"`
		From  string   `json:"from"`
		To    string   `json:"to"`
		State string   `json:"state"`
		Want  string   `json:"want,omitempty"`
		Hold  bool     `json:"hold,omitempty"`
		By    string   `json:"by,omitempty"`
	}
	tableJSON struct {
		Name      string `json:"name"`
		Reference bool   `json:"reference"`
		Key       string `json:"key,omitempty"`
		KeyType   string `json:"key_type,omitempty"`
		Placement string `json:"placement,omitempty"`
		Fold      string `json:"fold,omitempty"`
		Sequence  string `json:"sequence,omitempty"`
	}
)

func describe(m *shardmap.Map) mapJSON {
	out := mapJSON{Version: m.Version(), Shards: []shardJSON{}, Databases: []databaseJSON{}}
	for _, s := range m.Shards() {
		j := shardJSON{ID: s.ID, Primary: serverJSON(s.Primary), Replicas: []serverJSON{}, Paused: s.Paused}
		for _, r := range s.Replicas {
			j.Replicas = append(j.Replicas, serverJSON(r))
		}
		out.Shards = append(out.Shards, j)
	}
	for _, d := range m.Databases() {
		j := databaseJSON{Name: d.Name, Slots: d.Slots, Owners: map[string][]string{}, DefaultShard: d.Default.ID, Tables: []tableJSON{}}
		for _, s := range m.Shards() {
			if owned := d.Owned(s.ID); len(owned) > 0 {
				j.Owners[s.ID] = shardmap.FormatSlots(owned)
			}
		}
		for _, v := range d.Moves() {
			j.Moves = append(j.Moves, moveJSON{
				ID: v.ID, Slots: shardmap.FormatSlots(v.Slots()), From: v.From.ID, To: v.To.ID, State: string(v.State), Want: string(v.Want), Hold: v.Hold, By: v.By,
			})
		}
		for _, t := range d.Tables {
			j.Tables = append(j.Tables, tableJSON{
				Name: t.Name, Reference: t.Reference, Key: t.Key, KeyType: t.KeyType.String(),
				Placement: string(t.Placement), Fold: t.Fold, Sequence: t.Sequence,
			})
		}
		out.Databases = append(out.Databases, j)
	}
	return out
}
