package flush

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// otelStill is how long the numbers must stay: file_log looks for new lines every
// 0.2 s, and sends an unfinished line after 0.5 s.
const otelStill = time.Second

// otel asks the OpenTelemetry Collector's own metrics.
type otel struct {
	url string
	get getter
}

func (o *otel) look(ctx context.Context, _ []*file) (sight, error) {
	body, err := o.get(ctx, o.url)
	if err != nil {
		return sight{}, err
	}
	all, err := parsePrometheus(body)
	if err != nil {
		return sight{}, err
	}
	return judgeOTel(all)
}

// judgeOTel holds what the exporters have sent against what the receivers have
// accepted. What failed before, and is gone since, is missing in one of them.
func judgeOTel(all []series) (sight, error) {
	queued, ok := sum(all, "otelcol_exporter_queue_size")
	if !ok {
		return sight{}, errors.New("no otelcol_exporter_queue_size: its metrics are not detailed")
	}
	// Counters appear with the first record.
	flying, _ := sum(all, "otelcol_exporter_in_flight_requests")
	accepted, _ := sum(all, "otelcol_receiver_accepted_log_records")
	sent, _ := sum(all, "otelcol_exporter_sent_log_records")
	failed, _ := sum(all, "otelcol_exporter_send_failed_log_records")
	refused, _ := sum(all, "otelcol_exporter_enqueue_failed_log_records")
	uptime, _ := sum(all, "otelcol_process_uptime")
	s := sight{
		unit: Records, inputs: []int64{accepted, sent}, growing: []int64{accepted, sent, uptime},
		failed: [2]int64{failed + refused},
	}
	switch missing := accepted - sent - failed; { // what was not enqueued was not accepted either
	case missing > 0:
		s.left = missing
	case queued > 0 || flying > 0:
		s.more, s.pending = true, fmt.Sprintf("%d in its queues, %d requests in flight", queued, flying)
	case sent > accepted:
		s.pending = "more records were sent than received: use kind \"metrics\" for a pipeline that adds some"
	}
	return s, nil
}
