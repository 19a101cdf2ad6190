package codedeploy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// listed asks for deployments, and returns the answer in JSON.
func listed(t *testing.T, s *Store, parameters string) (ids []string, next, code string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(parameters))
	r.Header.Set("X-Amz-Target", "CodeDeploy_20141006.ListDeployments")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20261128/eu-west-1/codedeploy/aws4_request")
	w := httptest.NewRecorder()
	s.API().ServeHTTP(w, r)
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Deployments []string `json:"deployments"`
		NextToken   string   `json:"nextToken"`
		Code        string   `json:"__type"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Deployments, answer.NextToken, answer.Code
}

func TestListDeployments(t *testing.T) {
	s := New()
	var many []Deployment
	for n := range 150 {
		many = append(many, Deployment{ID: fmt.Sprintf("d-%d", n), Status: "Succeeded"})
	}
	many[120].Status = "Ready"
	if err := s.Set("shop", "web", many...); err != nil {
		t.Fatal(err)
	}
	ids, next, _ := listed(t, s, `{"applicationName":"shop","deploymentGroupName":"web"}`)
	if len(ids) != 100 || next != "100" {
		t.Errorf("%d ids, next %q", len(ids), next)
	}
	ids, next, _ = listed(t, s, `{"applicationName":"shop","deploymentGroupName":"web","nextToken":"100"}`)
	if len(ids) != 50 || ids[0] != "d-100" || next != "" {
		t.Errorf("%d ids, next %q", len(ids), next)
	}
	if ids, _, _ = listed(t, s, `{"applicationName":"shop","deploymentGroupName":"web","includeOnlyStatuses":["Ready","Baking"]}`); len(ids) != 1 || ids[0] != "d-120" {
		t.Errorf("ready: %q", ids)
	}
	if ids, _, _ = listed(t, s, `{"includeOnlyStatuses":["Ready"]}`); len(ids) != 1 {
		t.Errorf("of all applications: %q", ids)
	}
	for parameters, want := range map[string]string{
		`{"applicationName":"api","deploymentGroupName":"web"}`:                  "ApplicationDoesNotExistException",
		`{"applicationName":"shop","deploymentGroupName":"api"}`:                 "DeploymentGroupDoesNotExistException",
		`{"applicationName":"shop"}`:                                             "DeploymentGroupNameRequiredException",
		`{"deploymentGroupName":"web"}`:                                          "ApplicationNameRequiredException",
		`{"applicationName":"shop","deploymentGroupName":"web","nextToken":"x"}`: "InvalidNextTokenException",
	} {
		if _, _, code := listed(t, s, parameters); code != want {
			t.Errorf("%s: %q, want %s", parameters, code, want)
		}
	}
	if s.Set("shop", "web", Deployment{ID: "d-1", Status: "Done"}) == nil || s.Set("shop", "web", Deployment{Status: "Ready"}) == nil {
		t.Error("no deployment was refused")
	}
}
