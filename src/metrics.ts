import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { problems } from './errors.ts';
import { audioStates, endedKinds } from './unions.ts';

export type Metrics = ReturnType<typeof createMetrics>;
/** The metrics of one process as JSON, for another process. */
export type MetricValues = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

/** The metrics of `/metrics`. No label names a token, a key, an account or a recording. */
export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const refusals = new Counter({
    name: 'playhead_refusals_total',
    help: 'Error responses by problem code, and rejected recordings by check code.',
    labelNames: ['code'],
    registers,
  });
  // Each problem is counted from 0. Prometheus sees no increase if a counter first appears with 1, so the first
  // problem would raise no alert.
  for (const code of Object.keys(problems)) refusals.inc({ code }, 0);
  const verifications = new Counter({
    name: 'playhead_verifications_total',
    help: 'Recordings in the store that were compared with their SHA-256, by state: intact, copied, damaged, missing.',
    labelNames: ['state'],
    registers,
  });
  for (const state of audioStates) verifications.inc({ state }, 0);
  const ended = new Counter({
    name: 'playhead_retention_total',
    help: 'What was erased because its retention had ended: recordings, reports on rejected audio, jobs.',
    labelNames: ['kind'],
    registers,
  });
  for (const kind of endedKinds) ended.inc({ kind }, 0);
  return {
    registry,
    requests: new Counter({
      name: 'playhead_requests_total',
      help: 'Responses, by route and status.',
      labelNames: ['route', 'status'],
      registers,
    }),
    requestSeconds: new Histogram({
      name: 'playhead_request_seconds',
      help: 'Seconds from a request to the end of its response, by route. A stream lasts as long as people listen.',
      labelNames: ['route'],
      buckets: [0.002, 0.005, 0.01, 0.05, 0.25, 1, 5, 30, 300],
      registers,
    }),
    streamBytes: new Counter({
      name: 'playhead_stream_bytes_total',
      help: 'Bytes sent to listeners, by kind of response: whole, range, or ranges (multipart).',
      labelNames: ['kind'],
      registers,
    }),
    activeStreams: new Gauge({
      name: 'playhead_active_streams',
      help: 'Streams in progress.',
      registers,
    }),
    refusals,
    blocks: new Counter({
      name: 'playhead_blocks_total',
      help: 'Blocks requested from the cache, by outcome: memory, disk, shared (already loading) or miss. Damaged: loaded with other bytes, and thrown away.',
      labelNames: ['outcome'],
      registers,
    }),
    originRequests: new Counter({
      name: 'playhead_origin_requests_total',
      help: 'Requests to remote origins, by origin and outcome: class of the status, such as 2xx, or none.',
      labelNames: ['origin', 'outcome'],
      registers,
    }),
    originBytes: new Counter({
      name: 'playhead_origin_bytes_total',
      help: 'Bytes received from remote origins.',
      labelNames: ['origin'],
      registers,
    }),
    heals: new Counter({
      name: 'playhead_origin_heals_total',
      help: 'Broken reads of origins, by outcome: healed (continued at the next byte) or failed.',
      labelNames: ['outcome'],
      registers,
    }),
    checkSeconds: new Histogram({
      name: 'playhead_check_seconds',
      help: 'Seconds that the check of a recording takes, by verdict.',
      labelNames: ['verdict'],
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120],
      registers,
    }),
    verifications,
    ended,
    publishSteps: new Counter({
      name: 'playhead_publish_steps_total',
      help: 'Attempts at steps of publications, by step and outcome: done, deferred or failed.',
      labelNames: ['step', 'outcome'],
      registers,
    }),
  };
}

/** One page for the metrics of several processes. Their labels must differ, or their values are added up. */
export function mergeMetrics(values: MetricValues[]): Promise<string> {
  return AggregatorRegistry.aggregate(values).metrics();
}
