import { randomBytes } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { filesBelow, freshFolder } from '../files.ts';
import { longRecording, markedRecording, spawnGateway } from '../gateway.ts';
import { ended } from '../processes.ts';
import { seeded } from '../random.ts';
import { until } from '../until.ts';

/** Of all lanes together. */
const kills = Number(process.env.PLAYHEAD_TEST_KILLS ?? 12);
const seed = Number(process.env.PLAYHEAD_TEST_SEED ?? randomBytes(4).readUInt32LE());
const lanes = 2;
const senders = 4;
const latestKillMs = 400;

type Gateway = Awaited<ReturnType<typeof spawnGateway>>;
type Outcome = 'acknowledged' | 'failed' | 'cut off';

/** A store, listed without the gateway. */
interface ListedStore {
  settings: Record<string, string>;
  /** Names of whole recordings and of interrupted writes. */
  list(): Promise<{ whole: string[]; partial: string[] }>;
}

const template = await longRecording(8);

/** A WAV file of 0.7 to 8 MB that ends with the id, so each id has its own audio. S3 receives large ones in parts. */
const audioOf = (id: string, size: number) => markedRecording(template, size, id);

async function killRepeatedly(t: Test, { settings, list }: ListedStore, lane: number): Promise<void> {
  const random = seeded(seed + lane);
  const dataDir = await mkdtemp(join(tmpdir(), 'playhead-kill-'));
  const start = () => spawnGateway(t, { 'data-dir': dataDir, 'log-level': 'silent', ...settings });
  const sent = new Map<string, { size: number; outcome: Outcome }>();

  for (let round = 0; round < kills / lanes; round++) {
    const gateway = await start();
    let isAcknowledged = false;
    const isUp = () => gateway.child.exitCode === null && gateway.child.signalCode === null;
    const sending = Array.from({ length: senders }, async (_, sender) => {
      for (let turn = 0; isUp(); turn++) {
        const id = `${lane}-${round}-${sender}-${turn}`;
        const size = Math.round(700_000 + random() ** 6 * (template.length - 700_000));
        const outcome = await gateway
          .ingest(audioOf(id, size), { externalId: id })
          .then(async (response): Promise<Outcome> => {
            await response.json(); // a response that breaks off acknowledges nothing
            return response.ok ? 'acknowledged' : 'failed';
          })
          .catch((): Outcome => 'cut off');
        sent.set(id, { size, outcome });
        isAcknowledged ||= outcome === 'acknowledged';
      }
    });
    // Every other round waits for an acknowledged ingest. The others may kill the first ingests.
    if (round % 2 === 0) await until(() => isAcknowledged);
    await sleep(random() * latestKillMs);
    gateway.child.kill('SIGKILL');
    await ended(gateway.child);
    await Promise.all(sending);
  }

  // Ends the leases of interrupted ingests, as half a minute would.
  const database = new DatabaseSync(join(dataDir, 'playhead.db'));
  database.exec('update uploads set lease_until = 0');
  database.close();
  const gateway = await start();
  const counts = await verify(t, gateway, sent);
  const isTidy = async () => {
    const { whole, partial } = await list();
    return whole.length === counts.playable && partial.length === 0;
  };
  await until(isTidy, 60_000).catch(() => {}); // what remains is shown below
  const { whole, partial } = await list();
  t.same(partial, [], 'no interrupted write remains');
  t.equal(whole.length, counts.playable, 'and no audio without a recording');
  t.comment(`seed ${seed}, lane ${lane}: ${JSON.stringify(counts)}`);
}

/** Requests every recording that was ever sent. */
async function verify(t: Test, gateway: Gateway, sent: Map<string, { size: number; outcome: Outcome }>) {
  const counts = { acknowledged: 0, absent: 0, playable: 0, responseLost: 0 };
  const wrong: string[] = [];
  for (const [id, { size, outcome }] of sent) {
    if (outcome === 'failed') wrong.push(`${id} failed`);
    if (outcome === 'acknowledged') counts.acknowledged++;
    const shared = await gateway.v1(`/recordings/acct/${id}/url`, { method: 'POST' });
    const { authenticatedUrl } = (await shared.json()) as { authenticatedUrl?: string };
    if (authenticatedUrl === undefined) {
      counts.absent++;
      if (outcome === 'acknowledged' || shared.status !== 404) wrong.push(`${id}: ${shared.status}`);
      continue;
    }
    counts.playable++;
    if (outcome !== 'acknowledged') counts.responseLost++;
    const played = Buffer.from(await (await fetch(authenticatedUrl)).arrayBuffer());
    if (!played.equals(audioOf(id, size))) wrong.push(`${id} is not what was sent`);
  }
  t.same(wrong, [], 'acknowledged recordings are whole, all others are whole or absent');
  t.ok(counts.acknowledged > 0 && counts.absent > 0, 'some were acknowledged and some were cut off');
  return counts;
}

async function fileStore(t: Test): Promise<ListedStore> {
  const folder = await freshFolder(t);
  return {
    settings: { store: `file:${folder}` },
    async list() {
      const files = await filesBelow(folder);
      const isPartial = (name: string) => name.endsWith('.part');
      return { whole: files.filter((name) => !isPartial(name)), partial: files.filter(isPartial) };
    },
  };
}

async function s3Store(t: Test, endpoint: string): Promise<ListedStore> {
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true });
  const Bucket = `playhead-kill-${randomBytes(6).toString('hex')}`;
  await client.send(new CreateBucketCommand({ Bucket }));
  t.teardown(async () => {
    await client.send(new DeleteBucketCommand({ Bucket })).catch(() => {}); // only if it is empty
    client.destroy();
  });
  return {
    settings: { store: `s3://${Bucket}/calls`, 's3-endpoint': endpoint, 's3-force-path-style': 'true' },
    async list() {
      const uploads = await client.send(new ListMultipartUploadsCommand({ Bucket }));
      const whole: string[] = [];
      let token: string | undefined;
      do {
        const page = await client.send(new ListObjectsV2Command({ Bucket, ContinuationToken: token }));
        whole.push(...(page.Contents ?? []).map(({ Key }) => Key!));
        token = page.NextContinuationToken;
      } while (token);
      return { whole, partial: (uploads.Uploads ?? []).map(({ Key }) => Key!) };
    },
  };
}

t.jobs = lanes;
const endpoint = process.env.PLAYHEAD_TEST_S3_ENDPOINT;
for (let lane = 0; lane < lanes; lane++) {
  t.test(`killed ${kills / lanes} times during ingest, file store, lane ${lane}`, async (t) => {
    await killRepeatedly(t, await fileStore(t), lane);
  });
}
for (let lane = 0; lane < lanes; lane++) {
  const skip = endpoint ? false : 'PLAYHEAD_TEST_S3_ENDPOINT is not set';
  t.test(`killed ${kills / lanes} times during ingest, S3, lane ${lane}`, { skip }, async (t) => {
    await killRepeatedly(t, await s3Store(t, endpoint!), lane);
  });
}
