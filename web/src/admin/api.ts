// The server's API, asked as its operator.

import { forgetToken, recallToken } from "../memory";
import { sentence } from "../words";

/** The server did not do what it was asked; the message is for a person. */
export class ApiError extends Error {
  constructor(
    message: string,
    /** It wants the operator's token, or none would do. */
    readonly isLocked: boolean,
  ) {
    super(message);
  }
}

export async function get<T>(path: string): Promise<T> {
  return (await (await ask("GET", path)).json()) as T;
}

export async function getText(path: string): Promise<string> {
  return (await ask("GET", path)).text();
}

export async function send(method: "POST" | "PUT" | "PATCH" | "DELETE", path: string, body?: unknown): Promise<void> {
  await ask(method, path, body);
}

/** Rejects with an ApiError. */
async function ask(method: string, path: string, body?: unknown): Promise<Response> {
  const token = recallToken();
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: token ? { Authorization: `Bearer ${token}` } : {},
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError("The server does not answer. Check that it runs; this page goes on asking.", false);
  }
  if (response.ok) return response;
  const isLocked = response.status === 401 || response.status === 403;
  if (isLocked) forgetToken();
  const told = (await response.json().catch(() => null)) as { message?: string } | null;
  throw new ApiError(sentence(told?.message ?? `the server answered ${response.status}`), isLocked);
}
