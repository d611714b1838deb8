import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { createMetrics } from '../src/metrics.ts';
import { settings, variableOf } from '../src/settings/config.ts';

const root = new URL('../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');
const manifests = readdirSync(new URL('deploy/kubernetes/', root)).map((name) => `deploy/kubernetes/${name}`);

const { registry } = createMetrics();
const offered = new Map(registry.getMetricsAsArray().map(({ name, type }) => [name, String(type)]));

/** A histogram is asked for by its series. */
function isOffered(name: string): boolean {
  return offered.has(name) || offered.get(name.replace(/_(bucket|sum|count)$/, '')) === 'histogram';
}

function metricsIn(text: string): string[] {
  return [...new Set(text.match(/\b(playhead|process|nodejs)_[a-z0-9_]+/g))];
}

for (const path of ['deploy/grafana.json', 'deploy/alerts.yaml', 'deploy/kubernetes/autoscaler.yaml']) {
  t.test(`${path} names metrics that there are`, async (t) => {
    const names = metricsIn(read(path));
    t.ok(names.length > 0);
    t.same(
      names.filter((name) => !isOffered(name)),
      [],
    );
  });
}

t.test('a rejection that an alert looks for is counted from zero', async (t) => {
  const codes = [...read('deploy/alerts.yaml').matchAll(/playhead_refusals_total\{code=~?"([a-z_|]+)"/g)];
  t.ok(codes.length > 3);
  const page = await registry.metrics();
  for (const code of codes.flatMap(([, names]) => names!.split('|')))
    t.ok(page.includes(`playhead_refusals_total{code="${code}"} 0`), code);
});

t.test('the dashboard shows every metric of the gateway', async (t) => {
  const dashboard = read('deploy/grafana.json');
  const own = [...offered.keys()].filter((name) => name.startsWith('playhead_'));
  t.same(
    own.filter((name) => !dashboard.includes(name)),
    [],
  );
});

t.test('the dashboard asks for counters by their rate alone', async (t) => {
  const { panels } = JSON.parse(read('deploy/grafana.json')) as {
    panels: { targets?: { expr: string }[] }[];
  };
  const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  t.ok(queries.length > 15);
  t.same(
    queries.filter((query) => /_(total|count|bucket)\{/.test(query) && !/rate\(\w+\{[^}]*\}\[/.test(query)),
    [],
  );
});

for (const path of ['compose.yaml', ...manifests]) {
  t.test(`${path} sets nothing that is no setting`, async (t) => {
    const known = [...Object.keys(settings).map(variableOf), 'PLAYHEAD_LISTEN']; // of compose.yaml itself
    const named = [...new Set(read(path).match(/PLAYHEAD_[A-Z0-9_]+/g))];
    t.same(
      named.filter((name) => !known.includes(name)),
      [],
    );
  });
}

t.test('nginx logs routes and no paths, because a path may contain a token', async (t) => {
  const config = read('deploy/nginx.conf');
  const [, format = ''] = /log_format (.+);/.exec(config) ?? [];
  t.match(format, /\$route /);
  t.notMatch(format, /\$(uri|request|request_uri|args|http_referer)\b/);
  const [, map = ''] = /map \$uri \$route \{([^}]+)\}/.exec(config) ?? [];
  t.match(map, /default\s+other;/);
  t.notMatch(map, /\s\S*\$\w\S*;/, 'each route is a constant');
});

t.test('nothing that is deployed holds a secret', async (t) => {
  const secret = Object.entries(settings).flatMap(([key, setting]) =>
    'secret' in setting ? [variableOf(key)] : [],
  );
  t.ok(secret.length > 3);
  for (const path of ['compose.yaml', 'deploy/nginx.conf', ...manifests]) {
    const lines = read(path)
      .split('\n')
      .filter((line) => !line.trimStart().startsWith('#'));
    for (const line of lines.filter((line) => secret.some((name) => line.includes(`${name}:`)))) {
      t.match(line, /\$\{\w+:\?|redis:\/\/redis$/, `${path}: ${line.trim()}`);
    }
  }
});

t.test('a gateway is given longer to end than its streams are', async (t) => {
  const drain = Number(/PLAYHEAD_DRAIN_TIMEOUT: (\d+)s/.exec(read('deploy/kubernetes/settings.yaml'))![1]);
  const deployment = read('deploy/kubernetes/deployment.yaml');
  const wait = Number(/sleep, "(\d+)"/.exec(deployment)![1]);
  t.ok(Number(/terminationGracePeriodSeconds: (\d+)/.exec(deployment)![1]) >= drain + wait + 5);
  t.ok(Number(/stop_grace_period: (\d+)s/.exec(read('compose.yaml'))![1]) >= 30 + 5, 'the default is 30 s');
});
