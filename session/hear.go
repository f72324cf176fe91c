package session

// hearing passes on what the store tells.
type hearing struct{ *Manager }

// Changed implements [Follower].
func (h hearing) Changed(id ID) {
	h.cache.drop(id)
	h.bonds.look(id)
	h.lookAtExchanges(id)
}

// Missed implements [Follower].
func (h hearing) Missed() {
	h.cache.clear()
	h.bonds.lookAll()
	h.exchanges.clear()
}
