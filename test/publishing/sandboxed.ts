import type { Test } from 'tap';
import { createSandbox, type SandboxOptions } from '../../src/sandbox/sandbox.ts';
import { openPublishing, type PublishingOptions } from './rig.ts';

/** All that publishes, with a sandbox that knows the account `acme`. The teardown closes both. */
export async function openWithSandbox(
  t: Pick<Test, 'teardown'>,
  databaseUrl: string,
  options: PublishingOptions,
  sandboxOptions: SandboxOptions,
) {
  const accounts = [{ portalId: 1, appId: '101', accessToken: 'token-acme' }];
  const sandbox = await createSandbox({ accounts, ...sandboxOptions });
  const publishing = await openPublishing(databaseUrl, { apiBase: sandbox.url, ...options });
  t.teardown(async () => {
    await publishing.close();
    await sandbox.close();
  });
  return { sandbox, ...publishing };
}
