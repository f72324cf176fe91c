package optest

import "net/http"

// revoke is the revocation endpoint (RFC 7009). An unknown token, or another client's, is answered with 200 (2.2).
func (op *OP) revoke(w http.ResponseWriter, r *http.Request) error {
	if err := noneTwice(r.PostForm); err != nil {
		return err
	}
	client, err := op.authenticate(r)
	if err != nil {
		return err
	}
	token := r.PostForm.Get("token")
	if token == "" {
		return refuse("invalid_request", "token is missing")
	}
	op.revokeToken(token, client)
	w.WriteHeader(http.StatusOK)
	return nil
}
