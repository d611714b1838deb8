import type { FastifyInstance, FastifyReply } from 'fastify';
import { type PickupOptions, retrieve } from './pickup.ts';
import { notFound } from './refusal.ts';
import { type CallView, indexPage, recordPage } from './timeline-page.ts';
import { type SandboxCall, timeOf, type World } from './world.ts';

const mostCalls = 50;

/** The timelines: `/` lists the records that have calls, `/timeline/…` shows one. */
export function timelineRoutes(app: FastifyInstance, world: World, options: PickupOptions): void {
  app.get('/', (_request, reply) => {
    const counts = new Map<string, number>();
    for (const { portalId, associations } of world.calls.values()) {
      for (const { objectType, objectId } of associations.values()) {
        const path = `${portalId}/${objectType}/${objectId}`;
        counts.set(path, (counts.get(path) ?? 0) + 1);
      }
    }
    sendPage(reply, indexPage([...counts].slice(0, 200)));
  });

  app.get<{ Params: { portalId: string; objectType: string; objectId: string } }>(
    '/timeline/:portalId/:objectType/:objectId',
    async (request, reply) => {
      const { portalId, objectType, objectId } = request.params;
      const account = world.accounts.get(Number(portalId));
      if (!account) throw notFound('There is no such account.');
      const calls = world.callsOf(account.portalId, objectType, objectId);
      // As HubSpot does: opening the record asks for each call's authenticated URL.
      const views = await Promise.all(
        calls.slice(0, mostCalls).map((call) => viewOf(call, world.recordingUrl(call), options)),
      );
      sendPage(reply, recordPage({ portalId, objectType, objectId, total: calls.length, calls: views }));
      return reply;
    },
  );
}

async function viewOf(
  call: SandboxCall,
  template: string | undefined,
  options: PickupOptions,
): Promise<CallView> {
  const { properties, pickup } = call;
  const audio = await (template === undefined
    ? Promise.reject(new Error('No URL for recordings is registered for this app.'))
    : retrieve(template, call, options)
  ).then(
    (url) => ({ url }),
    (error: Error) => ({ problem: error.message }),
  );
  return {
    id: call.id,
    title: properties.hs_call_title ?? 'Call',
    body: properties.hs_call_body,
    direction: properties.hs_call_direction === 'INBOUND' ? 'Inbound' : 'Outbound',
    status: (properties.hs_call_status ?? 'COMPLETED').toLowerCase().replaceAll('_', ' '),
    from: properties.hs_call_from_number,
    to: properties.hs_call_to_number,
    at: new Date(timeOf(call)),
    durationMs: Number(properties.hs_call_duration) || undefined,
    audio,
    ready: call.ready > 0,
    pickup,
  };
}

/** Nothing but the page itself and the recordings it plays. */
function sendPage(reply: FastifyReply, html: string): void {
  reply
    .headers({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; media-src http: https:",
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    })
    .send(html);
}
