import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { problems } from './errors.ts';

export type Metrics = ReturnType<typeof createMetrics>;
/** In the form in which processes exchange them. */
export type MetricValues = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

/** The metrics of `/metrics`. No label has a token, a key, an account or a recording. */
export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const refusals = new Counter({
    name: 'playhead_refusals_total',
    help: 'Rejected requests and recordings, by code.',
    labelNames: ['code'],
    registers,
  });
  // From zero: a counter that appears with 1 has not risen, so the first refusal would raise no alert.
  for (const code of Object.keys(problems)) refusals.inc({ code }, 0);
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
      help: 'Time from the request to the end of the response, by route. A stream lasts as long as people listen.',
      labelNames: ['route'],
      buckets: [0.002, 0.005, 0.01, 0.05, 0.25, 1, 5, 30, 300],
      registers,
    }),
    streamBytes: new Counter({
      name: 'playhead_stream_bytes_total',
      help: 'Bytes sent to listeners, by kind of response (whole, range, ranges).',
      labelNames: ['kind'],
      registers,
    }),
    activeStreams: new Gauge({
      name: 'playhead_active_streams',
      help: 'Streams that are being sent.',
      registers,
    }),
    refusals,
    blocks: new Counter({
      name: 'playhead_blocks_total',
      help: 'Blocks requested from the cache, by outcome (memory, disk, shared, miss).',
      labelNames: ['outcome'],
      registers,
    }),
    originRequests: new Counter({
      name: 'playhead_origin_requests_total',
      help: 'Requests to remote origins, by origin and outcome.',
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
      help: 'Broken reads of origins that were continued at the next byte, by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    checkSeconds: new Histogram({
      name: 'playhead_check_seconds',
      help: 'Time of a channel check, by verdict.',
      labelNames: ['verdict'],
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120],
      registers,
    }),
    publishSteps: new Counter({
      name: 'playhead_publish_steps_total',
      help: 'Steps of publications, by step and outcome.',
      labelNames: ['step', 'outcome'],
      registers,
    }),
  };
}

/** The page of several processes. Their default labels distinguish them. */
export function mergeMetrics(values: MetricValues[]): Promise<string> {
  return AggregatorRegistry.aggregate(values).metrics();
}
