// Uses what openapi-typescript and openapi-fetch make of the description.
// Arguments: the URL of a server, an API key, the UUID of a contact with a phone and an email.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];
type Optional<T, K extends keyof T> = undefined extends T[K] ? true : never;

// A key that may be absent must be typed so, and a request must need no key but the required ones.
const handleIsOptional: Optional<Schemas["StringIdsChannel"], "channel_handle"> = true;
const infoIsOptional: Optional<Schemas["StringIdsChannel"], "info_channel"> = true;
const everyContact: Schemas["ListRequest"] = {};
const nobody: Schemas["ContactRequest"] = { custom: { "1": "x" } };
const sought: Schemas["ResolveRequest"] = { channel_id: "15105553344" };

const [url, key, uuid] = process.argv.slice(2) as [string, string, string];
const client = createClient<paths>({
  baseUrl: url,
  headers: { Authorization: `Bearer ${key}` },
});
const params = { path: { contactID: uuid } };
const phone = { path: { contactID: uuid, channelType: "phone" } };
const email = { path: { contactID: uuid, channelType: "email" } };

function present<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new Error("no data");
  }
  return value;
}

async function main(): Promise<void> {
  const channel = "/v2/contact/{contactID}/channel";
  const ofType = "/v2/contact/{contactID}/channel/{channelType}";
  const listed = await client.GET("/v2/contact/{contactID}/channels", {
    params: { ...params, query: { representation: "integer_ids" } },
  });
  const replaced = await client.PUT(channel, {
    params,
    body: { channel_type: "phone", channel_id: "14155551234" },
  });
  const got = await client.GET(ofType, { params: phone });
  const removed = await client.DELETE(ofType, { params: email });
  const refused = await client.GET(ofType, { params: email });
  const added = await client.POST(channel, {
    params,
    body: { channel_type: "email", channel_id: "alice.b@example.com" },
  });
  const made = await client.POST("/v2/contact", { body: nobody });
  const contacts = await client.POST("/v2/contacts/list", { body: everyContact });
  const resolved = await client.POST("/x/resolve", { body: sought });
  const team = await client.GET("/v1/team");
  console.log(
    JSON.stringify({
      listed: present(listed.data).map((channel) => typeof channel.id),
      replaced: present(replaced.data).map((channel) => channel.channel_id),
      got: [present(got.data).channel_id, present(got.data).channel_handle ?? "absent"],
      removed: present(removed.data).map((channel) => channel.channel_type),
      refused: present(refused.error).error_code,
      added: present(added.data).map((channel) => channel.channel_id),
      made: present(made.data).custom,
      contacts: present(contacts.data).length,
      resolved: present(resolved.data).created,
      team: present(team.data).members.map((member) => member.name),
      optional: handleIsOptional && infoIsOptional,
    }),
  );
}

void main();
