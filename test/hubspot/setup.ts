import type { Test } from 'tap';
import { HubSpotClient } from '../../src/hubspot/client.ts';
import { HubSpotError } from '../../src/hubspot/error.ts';
import { createSandbox, type SandboxOptions } from '../../src/sandbox/sandbox.ts';
import type { Exchange } from '../../src/sandbox/traffic.ts';
import type { ApiVersion } from '../../src/settings/hubspot-versions.ts';

/** The properties of HubSpot's own example. */
export const example = {
  hs_timestamp: '1755866400000',
  hs_call_source: 'INTEGRATIONS_PLATFORM',
  hs_call_external_id: 'test-call-01',
  hs_call_external_account_id: 'test-account-01',
  hs_call_app_id: 'app-101',
};

/** A sandbox whose exchanges are kept, and clients for it. */
export async function setUp(test: Test, options: SandboxOptions = {}) {
  const exchanges: Exchange[] = [];
  const sandbox = await createSandbox({
    searchLagMs: 0,
    observe: (exchange) => exchanges.push(exchange),
    ...options,
  });
  test.teardown(() => sandbox.close());
  const client = (
    apiVersion: ApiVersion,
    more: Partial<ConstructorParameters<typeof HubSpotClient>[0]> = {},
  ) =>
    new HubSpotClient({
      portal: '4711',
      apiBase: sandbox.url,
      apiVersion,
      appId: '101',
      accessToken: async () => 'sandbox-token',
      ...more,
    });
  return { sandbox, exchanges, client };
}

/** The HubSpotError that a promise fails with. */
export async function failure(promise: Promise<unknown>): Promise<HubSpotError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof HubSpotError) return error;
  throw new Error('There was no HubSpotError.', { cause: error });
}
