<?php
// SPDX-License-Identifier: Apache-2.0
// Receives webhooks of Penstock: verifies each one, and stores each event once.
//
//     SECRETS=whsec_... php -S 127.0.0.1:9000 receive.php     # PHP 8.1 or later, with pdo_sqlite
//
// SECRETS has the signing secret of the endpoint. During a rotation it has the old one and the new
// one, separated by a space. DATABASE can be set as well. The server of `php -S` is for a try. On
// the internet, use PHP-FPM behind a server with TLS, such as nginx.
declare(strict_types=1);

const BODY_BYTES_MAX = 65536;  // Penstock sends no more
const CLOCK_SECONDS_MAX = 300; // a request that is older is a replay, or one of the clocks is wrong

function answer(int $status, string $text): never
{
    error_log("$status $text");
    http_response_code($status);
    header('Content-Type: text/plain');
    exit($text);
}

function secrets(): array
{
    $texts = preg_split('/\s+/', (string) getenv('SECRETS'), -1, PREG_SPLIT_NO_EMPTY);
    $secrets = array_map(fn ($text) => base64_decode(substr($text, strlen('whsec_'))), $texts);
    if (!$secrets || in_array('', $secrets, true)) {
        answer(503, 'SECRETS must have one or more whsec_... secrets');
    }
    return $secrets;
}

// Returns why a request is refused, or null. $body is the raw bytes, as they were received.
function verify(string $id, string $timestamp, string $signatures, string $body): ?string
{
    if (!preg_match('/^[A-Za-z0-9_-]{1,64}$/D', $id)) {
        return 'webhook-id is missing or wrong';
    }
    if (!preg_match('/^[0-9]{1,12}$/D', $timestamp)) {
        return 'webhook-timestamp is missing or wrong';
    }
    if (abs(time() - (int) $timestamp) > CLOCK_SECONDS_MAX) {
        return 'webhook-timestamp is more than 5 minutes off';
    }
    foreach (secrets() as $secret) {
        $mac = hash_hmac('sha256', "$id.$timestamp.$body", $secret, true);
        foreach (explode(' ', $signatures) as $signature) {
            if (hash_equals('v1,' . base64_encode($mac), $signature)) {
                return null;
            }
        }
    }
    return 'webhook-signature is missing or wrong';
}

// Stores the event durably, and returns whether it is new. A repeated one changes nothing.
function store_once(string $id, string $body): bool
{
    $database = new PDO('sqlite:' . (getenv('DATABASE') ?: 'events.db'));
    $database->exec('CREATE TABLE IF NOT EXISTS events (webhook_id TEXT PRIMARY KEY, body BLOB)');
    $database->beginTransaction(); // an exception before commit() rolls it back
    $insert = $database->prepare(
        'INSERT INTO events (webhook_id, body) VALUES (?, ?) ON CONFLICT DO NOTHING'
    );
    $insert->execute([$id, $body]);
    $is_new = $insert->rowCount() === 1;
    // What else you change in this database for a new event belongs here, so that all of it is
    // committed, or nothing. Slow work is for another program: it reads this table.
    $database->commit();
    return $is_new;
}

$id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
$body = file_get_contents('php://input', false, null, 0, BODY_BYTES_MAX + 1);
if (strlen($body) > BODY_BYTES_MAX) {
    answer(413, 'the body is too large');
}
$reason = verify(
    $id,
    $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '',
    $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '',
    $body
);
if ($reason !== null) {
    answer(401, $reason); // Penstock shows the text to the operator
}
if (($_SERVER['HTTP_PENSTOCK_TEST'] ?? '') === 'true') {
    answer(200, "test $id"); // an operator tests the endpoint
}
try {
    $is_new = store_once($id, $body);
} catch (PDOException $error) {
    error_log($error->getMessage());
    answer(503, 'the event cannot be stored now'); // it will be sent again
}
answer(200, ($is_new ? 'stored' : 'duplicate') . " $id");
