// SPDX-License-Identifier: Apache-2.0

// Normal requests from Go's net/http. The job is JSON on stdin: {url, key, path, media, body, count}. With https:// it
// speaks HTTP/2, with http:// HTTP/1.1. Prints {answers: {status: count}, lost}.
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

type job struct {
	URL, Key, Path, Media, Body string
	Count                       int
}

type result struct {
	Answers map[string]int `json:"answers"`
	Lost    int            `json:"lost"`
}

func post(client *http.Client, j *job) (int, error) {
	request, err := http.NewRequest("POST", j.URL+j.Path, bytes.NewReader([]byte(j.Body)))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+j.Key)
	request.Header.Set("Content-Type", j.Media)
	answer, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, err
}

func main() {
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(65)
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64}}
	found := result{Answers: map[string]int{}}
	var lock sync.Mutex
	var group sync.WaitGroup
	next := make(chan bool)
	for worker := 0; worker < 50; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for range next {
				status, err := post(client, &j)
				lock.Lock()
				if err != nil {
					found.Lost++
					if found.Lost < 4 {
						fmt.Fprintln(os.Stderr, err)
					}
				} else {
					found.Answers[fmt.Sprint(status)]++
				}
				lock.Unlock()
			}
		}()
	}
	for number := 0; number < j.Count; number++ {
		next <- true
	}
	close(next)
	group.Wait()
	json.NewEncoder(os.Stdout).Encode(found)
}
