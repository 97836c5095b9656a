// Uses what @hey-api/openapi-ts makes of the description of the vendor's reference.
// Arguments: the URL of a server, a JWT, the UUID of a contact with a phone and an email.

import { client } from "./reference/client.gen";
import { createContactChannel, retrieveContactChannel } from "./reference/sdk.gen";
import type { ContactChannel } from "./reference/types.gen";

const [url, token, uuid] = process.argv.slice(2) as [string, string, string];
client.setConfig({ baseUrl: url, auth: token });
const path = { contactID: uuid };
const newEmail = { channel_type: "email", channel_id: "newemail@example.com" };

function present<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new Error("no data");
  }
  return value;
}

// The pages of the reference do not describe these operations; their ContactChannel is expected.
async function request(method: "GET" | "PUT" | "DELETE", suffix: string, body?: unknown) {
  const result = await client.request<ContactChannel[]>({
    method,
    url: `/v2/contact/{contactID}/channel${suffix}`,
    path,
    body,
    headers: { "Content-Type": "application/json" },
    security: [{ scheme: "bearer", type: "http" }],
  });
  return present(result.data);
}

async function main(): Promise<void> {
  const created = await createContactChannel({
    path,
    body: { channel_type: "phone", channel_id: "14155551234" },
  });
  const retrieved = await retrieveContactChannel({ path: { ...path, channelType: "phone" } });
  console.log(
    JSON.stringify({
      created: present(created.data),
      retrieved: [present(retrieved.data)],
      replaced: await request("PUT", "", newEmail),
      listed: await request("GET", "s"),
      removed: await request("DELETE", "/email"),
    }),
  );
}

void main();
