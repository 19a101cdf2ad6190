package amis_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/amis"
)

var sum = artifacts.Sum([]byte("manifest"))

var baked = amis.Carried{
	App: "web", Version: "1.4.2", Manifest: sum, Sequence: 1795255200, Channel: "stable",
	Baked: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC), Agent: "0.1.0",
}

func output(t *testing.T, images ...map[string]any) string {
	t.Helper()
	if images == nil {
		images = []map[string]any{}
	}
	data, err := json.Marshal(map[string]any{"Images": images})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// image is one as the AWS CLI prints it, with members that are of no use here.
func image(id string, tags []amis.Tag) map[string]any {
	all := []map[string]string{{"Key": "Name", "Value": "web"}}
	for _, tag := range tags {
		all = append(all, map[string]string{"Key": tag.Key, "Value": tag.Value})
	}
	return map[string]any{
		"ImageId": id, "Name": "web-20261121", "Architecture": "x86_64", "CreationDate": "2026-11-21T10:05:00.000Z", "State": "available",
		"BlockDeviceMappings": []any{map[string]any{"DeviceName": "/dev/xvda", "Ebs": map[string]any{"VolumeSize": 8}}}, "Tags": all,
	}
}

func TestTagsComeBack(t *testing.T) {
	api := baked
	api.Name, api.App, api.Agent = "Api_2", "acme-api", "v0.2.0-rc1"
	got, err := amis.Read([]byte(output(t, image("ami-0a1b", append(baked.Tags(), api.Tags()...)), image("ami-0", nil))))
	if err != nil {
		t.Fatal(err)
	}
	created := time.Date(2026, 11, 21, 10, 5, 0, 0, time.UTC)
	want := []amis.AMI{
		{ID: "ami-0a1b", Name: "web-20261121", Arch: "amd64", Created: created, Carries: []amis.Carried{baked, api}},
		{ID: "ami-0", Name: "web-20261121", Arch: "amd64", Created: created},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if c, ok := got[0].Of("acme-api"); !ok || c != api {
		t.Errorf("%+v, %v", c, ok)
	}
	if c, ok := got[0].Of("api"); ok {
		t.Errorf("%+v", c)
	}
	none, err := amis.Read([]byte(output(t)))
	if err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
}

// A tag that cannot be read is an error of its AMI, and never one that carries nothing.
func TestDamagedTags(t *testing.T) {
	for _, test := range []struct{ key, value, want string }{
		{"koboshi:app", "Web", `the tag koboshi:app: "Web" is not a name`},
		{"koboshi:app", "", "the tag koboshi:app is missing"},
		{"koboshi:version", "../1", `the tag koboshi:version: "../1" is not a version`},
		{"koboshi:version", "", "the tag koboshi:version is missing"},
		{"koboshi:manifest", strings.ToUpper(sum.String()), "the tag koboshi:manifest: "},
		{"koboshi:manifest", "", "the tag koboshi:manifest is missing"},
		{"koboshi:sequence", "0", `the tag koboshi:sequence: "0" is no sequence`},
		{"koboshi:sequence", "", "the tag koboshi:sequence is missing"},
		{"koboshi:channel", "", "the tag koboshi:channel is missing"},
		{"koboshi:baked", "yesterday", `the tag koboshi:baked: "yesterday" is no time`},
		{"koboshi:agent", "new", "the tag koboshi:agent: "},
	} {
		var tags []amis.Tag
		for _, tag := range baked.Tags() {
			if tag.Key == test.key {
				if tag.Value = test.value; tag.Value == "" {
					continue
				}
			}
			tags = append(tags, tag)
		}
		got, err := amis.Read([]byte(output(t, image("ami-1", tags))))
		if err != nil || len(got) != 1 || len(got[0].Carries) != 0 || got[0].Err == nil || !strings.HasPrefix(got[0].Err.Error(), test.want) {
			t.Errorf("%s=%q: %+v, %v, want %s", test.key, test.value, got, err, test.want)
		}
	}
	// Tags that are not koboshi's, or are for the instances.
	got, err := amis.Read([]byte(output(t, image("ami-1", []amis.Tag{{Key: "koboshi:channel", Value: "canary"}, {Key: "koboshi:hold", Value: "x"}, {Key: "koboshi:a b:app", Value: "x"}}))))
	if err != nil || got[0].Err != nil || len(got[0].Carries) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNoOutput(t *testing.T) {
	whole := output(t, image("ami-1", baked.Tags()))
	for name, text := range map[string]string{
		"nothing": "", "other JSON": `{"Instances":[]}`, "null": `{"Images":null}`, "a list": `[]`, "text": "IMAGES\tx86_64\tami-1\n",
		"one page": `{"Images":[],"NextToken":"eyJ"}`, "no id": output(t, image("", nil)), "a hostile id": output(t, image("ami-1\x1b[2J", nil)),
		"too large": `{"Images":[` + strings.Repeat(" ", amis.MaxBytes) + `]}`, "twice": `{"Images":[],"Images":[]}`, "more behind it": whole + "}",
	} {
		if got, err := amis.Read([]byte(text)); !errors.Is(err, amis.ErrOutput) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	refused := 0
	for n := range len(whole) {
		if _, err := amis.Read([]byte(whole[:n])); errors.Is(err, amis.ErrOutput) {
			refused++
		}
	}
	if refused != len(whole) {
		t.Errorf("%d of %d truncated outputs are refused", refused, len(whole))
	}
}
