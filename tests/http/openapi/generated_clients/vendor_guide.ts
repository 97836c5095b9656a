// Uses what openapi-typescript and openapi-fetch make of the description of the vendor's guide.
// Arguments: the URL of a server, an API key, the UUID of a contact with a phone and an email.

import createClient from "openapi-fetch";
import type { paths } from "./guide";

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
  const channels = "/v2/contact/{contactID}/channels";
  const ofType = "/v2/contact/{contactID}/channel/{channelType}";
  const listed = await client.GET(channels, { params });
  const got = await client.GET(ofType, { params: phone });
  const updated = await client.PUT(channel, {
    params,
    body: { channel_type: "email", channel_id: "newemail@example.com" },
  });
  const afterUpdate = await client.GET(channels, { params });
  const deleted = await client.DELETE(ofType, { params: email });
  const afterDelete = await client.GET(channels, { params });
  const added = await client.POST(channel, {
    params,
    body: { channel_type: "email", channel_id: "alice@example.com" },
  });
  console.log(
    JSON.stringify({
      listed: present(listed.data),
      got: [present(got.data)],
      updated: updated.response.status,
      after_update: present(afterUpdate.data),
      deleted: deleted.response.status,
      after_delete: present(afterDelete.data),
      added: present(added.data),
    }),
  );
}

void main();
