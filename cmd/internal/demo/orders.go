package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The scopes of the orders API.
const (
	scopeRead  = "orders:read"
	scopeWrite = "orders:write"
)

const maxOrders = 20 // kept for each user, newest first

var catalogue = []string{"Wool coat", "Felt hat", "Silk scarf", "Leather gloves", "Black umbrella", "Tweed cap"}

// order is one line of somebody's list.
type order struct {
	Number   int       `json:"number"`
	Item     string    `json:"item"`
	PlacedAt time.Time `json:"placed_at"`
}

// ordersAPI is an API as it stands behind a gateway: it knows users by the sub of their access token, keeps no
// sessions and has never seen a cookie.
type ordersAPI struct {
	tokens *verifier
	now    func() time.Time

	mu     sync.Mutex
	last   int
	orders map[string][]order // by sub
}

func newOrdersAPI(tokens *verifier) *ordersAPI {
	return &ordersAPI{tokens: tokens, now: tokens.now, last: 1040, orders: map[string][]order{}}
}

// handler returns the routes of the API.
func (a *ordersAPI) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/orders", a.authorized(scopeRead, a.list))
	mux.HandleFunc("POST /api/orders", a.authorized(scopeWrite, a.place))
	return mux
}

// authorized lets requests through that carry an access token with the scope, and answers the others as RFC 6750 §3.
func (a *ordersAPI) authorized(scope string, next func(http.ResponseWriter, *http.Request, *accessToken)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		scheme, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || raw == "" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="orders"`)
			writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "no access token"})
			return
		}
		token, err := a.tokens.verify(r.Context(), raw)
		switch {
		case errors.Is(err, errInvalidToken):
			w.Header().Set("WWW-Authenticate", `Bearer realm="orders", error="invalid_token"`)
			writeJSON(w, http.StatusUnauthorized, map[string]string{"error": err.Error()})
		case err != nil:
			w.Header().Set("Retry-After", "5")
			writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": "the keys of the OP are out of reach"})
		case !slices.Contains(token.Scopes, scope):
			w.Header().Set("WWW-Authenticate",
				fmt.Sprintf(`Bearer realm="orders", error="insufficient_scope", scope=%q`, scope))
			writeJSON(w, http.StatusForbidden, map[string]string{"error": "the access token lacks the scope " + scope})
		default:
			next(w, r, token)
		}
	}
}

// list answers with the user's orders, and with what reached the API: enough to watch the gateway replace the token
// about once a minute, and to see that the session cookie stays with the gateway.
func (a *ordersAPI) list(w http.ResponseWriter, r *http.Request, token *accessToken) {
	now := a.now()
	writeJSON(w, http.StatusOK, map[string]any{
		"orders": a.of(token.Subject),
		"received": map[string]any{
			"sub":              token.Subject,
			"scopes":           token.Scopes,
			"token_age":        int(now.Sub(token.IssuedAt).Seconds()),
			"token_expires_in": int(token.ExpiresAt.Sub(now).Seconds()),
			"cookies":          len(r.Cookies()),
		},
	})
}

// place takes {"item": ...} for an item of the catalogue.
func (a *ordersAPI) place(w http.ResponseWriter, r *http.Request, token *accessToken) {
	var wanted struct {
		Item string `json:"item"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&wanted)
	if err != nil || !slices.Contains(catalogue, wanted.Item) {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "no such item", "catalogue": catalogue})
		return
	}
	writeJSON(w, http.StatusCreated, a.add(token.Subject, wanted.Item))
}

// of returns the orders of sub; a user who was never here before finds two.
func (a *ordersAPI) of(sub string) []order {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.welcome(sub)
	return slices.Clone(a.orders[sub])
}

func (a *ordersAPI) add(sub, item string) order {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.welcome(sub)
	return a.append(sub, item, a.now())
}

func (a *ordersAPI) welcome(sub string) {
	if _, known := a.orders[sub]; known {
		return
	}
	a.append(sub, catalogue[0], a.now().AddDate(0, 0, -9))
	a.append(sub, catalogue[4], a.now().AddDate(0, 0, -2))
}

func (a *ordersAPI) append(sub, item string, at time.Time) order {
	a.last++
	placed := order{Number: a.last, Item: item, PlacedAt: at.UTC().Truncate(time.Second)}
	list := slices.Insert(a.orders[sub], 0, placed)
	a.orders[sub] = list[:min(len(list), maxOrders)]
	return placed
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone, there is nobody to tell
}
