// SPDX-License-Identifier: Apache-2.0

// Receives webhooks of Penstock: verifies each one, and stores each event once.
//
//	SECRETS=whsec_... go run receive.go          # Go 1.19 or later, no modules
//
// SECRETS has the signing secret of the endpoint. During a rotation it has the old one and the new
// one, separated by a space. PORT and INBOX can be set as well. On the internet, put a server with
// TLS in front of it, such as nginx.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	bodyBytesMax = 65536           // Penstock sends no more
	clockMax     = 5 * time.Minute // a request that is older is a replay, or a clock is wrong
)

var (
	secrets        [][]byte
	inbox          = setting("INBOX", "inbox")
	idPattern      = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	secondsPattern = regexp.MustCompile(`^[0-9]{1,12}$`)
)

// verify returns nil, or why the request is refused. The body is the raw bytes, as received.
func verify(headers http.Header, body []byte) error {
	id, timestamp := headers.Get("webhook-id"), headers.Get("webhook-timestamp")
	if !idPattern.MatchString(id) {
		return errors.New("webhook-id is missing or wrong")
	}
	if !secondsPattern.MatchString(timestamp) {
		return errors.New("webhook-timestamp is missing or wrong")
	}
	seconds, _ := strconv.ParseInt(timestamp, 10, 64)
	if time.Since(time.Unix(seconds, 0)).Abs() > clockMax {
		return errors.New("webhook-timestamp is more than 5 minutes off")
	}
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
		expected := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		for _, signature := range strings.Fields(headers.Get("webhook-signature")) {
			if hmac.Equal([]byte(expected), []byte(signature)) {
				return nil
			}
		}
	}
	return errors.New("webhook-signature is missing or wrong")
}

// storeOnce stores the event durably, and returns whether it is new. A repeated one is not stored.
//
// The standard library has no database, so each event is a file whose name is the webhook-id. Link
// makes the name only if it does not exist: of two requests, in any process, one is the first.
// With a database this function is one transaction of database/sql:
//
//	BEGIN;
//	INSERT INTO events (webhook_id, body) VALUES ($1, $2) ON CONFLICT DO NOTHING;
//	-- One row: the event is new. What else you change for it belongs here. No row: a duplicate.
//	COMMIT;
func storeOnce(id string, body []byte) (isNew bool, err error) {
	part, err := os.CreateTemp(inbox, ".part-*")
	if err != nil {
		return false, err
	}
	defer os.Remove(part.Name())
	defer part.Close()
	if _, err = part.Write(body); err != nil {
		return false, err
	}
	if err = part.Sync(); err != nil {
		return false, err
	}
	err = os.Link(part.Name(), filepath.Join(inbox, id+".json"))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	isNew = err == nil
	directory, err := os.Open(inbox)
	if err != nil {
		return false, err
	}
	defer directory.Close()
	return isNew, directory.Sync() // the name is durable now, also one that another request made
}

func receive(response http.ResponseWriter, request *http.Request) (int, string) {
	body, err := io.ReadAll(http.MaxBytesReader(response, request.Body, bodyBytesMax))
	if err != nil {
		return http.StatusRequestEntityTooLarge, "the body is too large, or has no end"
	}
	id := request.Header.Get("webhook-id")
	if err = verify(request.Header, body); err != nil {
		return http.StatusUnauthorized, err.Error() // Penstock shows the text to the operator
	}
	if request.Header.Get("penstock-test") == "true" {
		return http.StatusOK, "test " + id // an operator tests the endpoint
	}
	isNew, err := storeOnce(id, body)
	if err != nil {
		log.Print(err)
		return http.StatusServiceUnavailable, "the event cannot be stored now" // it is sent again
	}
	if isNew {
		return http.StatusOK, "stored " + id
	}
	return http.StatusOK, "duplicate " + id
}

func setting(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

func main() {
	for _, text := range strings.Fields(os.Getenv("SECRETS")) {
		secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
		if err != nil || len(secret) == 0 {
			log.Fatal("SECRETS must have whsec_... secrets")
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 {
		log.Fatal("SECRETS must have one or more whsec_... secrets")
	}
	if err := os.MkdirAll(inbox, 0o700); err != nil {
		log.Fatal(err)
	}
	server := http.Server{
		Addr:        "127.0.0.1:" + setting("PORT", "9000"),
		ReadTimeout: 30 * time.Second,
		IdleTimeout: 75 * time.Second,
		Handler: http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
			status, text := receive(response, request)
			fmt.Println(status, text)
			response.WriteHeader(status)
			io.WriteString(response, text)
		}),
	}
	log.Fatal(server.ListenAndServe())
}
