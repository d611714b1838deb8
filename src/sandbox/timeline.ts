import type { FastifyInstance, FastifyReply } from 'fastify';
import { notFound } from './api-error.ts';
import { type RetrieveOptions, requestAuthenticatedUrl } from './authenticated-url.ts';
import { type CallView, indexPage, recordPage } from './timeline-page.ts';
import { type SandboxCall, timestampOf, type World } from './world.ts';

const maxCalls = 50;
const maxRecords = 200;

/** `/` lists the records that have calls. `/timeline/PORTAL/TYPE/ID` shows the calls of one record. */
export function timelineRoutes(app: FastifyInstance, world: World, options: RetrieveOptions = {}): void {
  app.get('/', (_request, reply) => {
    const counts = new Map<string, number>();
    for (const { portalId, associations } of world.calls.values()) {
      for (const { objectType, objectId } of associations.values()) {
        const path = `${portalId}/${objectType}/${objectId}`;
        counts.set(path, (counts.get(path) ?? 0) + 1);
      }
    }
    sendPage(reply, indexPage([...counts].slice(0, maxRecords)));
  });

  app.get<{ Params: { portalId: string; objectType: string; objectId: string } }>(
    '/timeline/:portalId/:objectType/:objectId',
    async (request, reply) => {
      const { portalId, objectType, objectId } = request.params;
      const account = world.accounts.get(Number(portalId));
      if (!account) throw notFound('There is no such portal.');
      const calls = world.callsOf(account.portalId, objectType, objectId);
      // Opening the record requests each call's authenticated URL, as HubSpot does.
      const views = await Promise.all(
        calls.slice(0, maxCalls).map((call) => viewOf(call, world.recordingUrl(call), options)),
      );
      sendPage(reply, recordPage({ portalId, objectType, objectId, total: calls.length, calls: views }));
      return reply;
    },
  );
}

async function viewOf(
  call: SandboxCall,
  template: string | undefined,
  options: RetrieveOptions,
): Promise<CallView> {
  const { properties, pickup } = call;
  const audio = await requestAuthenticatedUrl(template, call, options).then(
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
    at: new Date(timestampOf(call)),
    durationMs: Number(properties.hs_call_duration) || undefined,
    audio,
    ready: call.ready > 0,
    pickup,
  };
}

/** The policy allows the page's own styles and the recordings, and nothing else. */
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
