import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { problems } from './errors.ts';

export type Metrics = ReturnType<typeof createMetrics>;
/** As they pass from one process to another. */
export type MetricValues = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

/** What /metrics shows. No label ever holds a token, a key, an account or a recording. */
export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const refusals = new Counter({
    name: 'playhead_refusals_total',
    help: 'Requests and recordings refused, by code.',
    labelNames: ['code'],
    registers,
  });
  // A counter that comes into being at 1 has never risen: the first refusal of a kind would alert nobody.
  for (const code of Object.keys(problems)) refusals.inc({ code }, 0);
  return {
    registry,
    requests: new Counter({
      name: 'playhead_requests_total',
      help: 'Requests answered, by route and status.',
      labelNames: ['route', 'status'],
      registers,
    }),
    requestSeconds: new Histogram({
      name: 'playhead_request_seconds',
      help: 'Time from request to the end of the answer, by route; streams last as long as people listen.',
      labelNames: ['route'],
      buckets: [0.002, 0.005, 0.01, 0.05, 0.25, 1, 5, 30, 300],
      registers,
    }),
    streamBytes: new Counter({
      name: 'playhead_stream_bytes_total',
      help: 'Bytes of recordings handed to listeners, by kind of answer (whole, range, ranges).',
      labelNames: ['kind'],
      registers,
    }),
    activeStreams: new Gauge({
      name: 'playhead_active_streams',
      help: 'Listeners being served at this moment.',
      registers,
    }),
    refusals,
    blocks: new Counter({
      name: 'playhead_blocks_total',
      help: 'Blocks asked of the cache, by outcome (memory, disk, shared, miss).',
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
      help: 'Broken origin reads taken up again at the next byte, by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    checkSeconds: new Histogram({
      name: 'playhead_check_seconds',
      help: 'Time of one channel check, by verdict.',
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

/** One page of the values of several processes, told apart by their default labels. */
export function mergeMetrics(values: MetricValues[]): Promise<string> {
  return AggregatorRegistry.aggregate(values).metrics();
}
