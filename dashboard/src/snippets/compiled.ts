// The snippets in languages that are compiled first.
import { doubled, rusty } from "./quoting";

export const go = (eventType: string): string => `// ENDPOINT_SECRET=whsec_... go run main.go
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

var key, _ = base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("ENDPOINT_SECRET"), "whsec_"))

// The raw bytes are what is signed: a parsed and printed body has other bytes.
func isGenuine(header http.Header, body []byte) bool {
	at, err := strconv.ParseInt(header.Get("webhook-timestamp"), 10, 64)
	if err != nil || time.Since(time.Unix(at, 0)).Abs() > 5*time.Minute || len(key) == 0 {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(header.Get("webhook-id") + "." + header.Get("webhook-timestamp") + "."))
	mac.Write(body)
	wanted := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, given := range strings.Split(header.Get("webhook-signature"), " ") {
		if hmac.Equal([]byte(given), []byte(wanted)) {
			return true
		}
	}
	return false
}

func receive(response http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil || !isGenuine(request.Header, body) {
		response.WriteHeader(http.StatusUnauthorized)
		return
	}
	if request.Header.Get("becket-event-type") == ${doubled(eventType)} {
		// The id is the same when a delivery is repeated: do the work once per id.
		log.Println(request.Header.Get("webhook-id"), string(body))
	}
	response.WriteHeader(http.StatusNoContent)
}

func main() {
	http.HandleFunc("/", receive)
	log.Fatal(http.ListenAndServe("127.0.0.1:3000", nil))
}
`;

export const java = (eventType: string): string => `// ENDPOINT_SECRET=whsec_... java Handler.java
import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.Base64;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class Handler {
    static final byte[] KEY = Base64.getDecoder().decode(System.getenv("ENDPOINT_SECRET").replaceFirst("^whsec_", ""));

    // The raw bytes are what is signed: a parsed and printed body has other bytes.
    static boolean isGenuine(Headers headers, byte[] body) throws Exception {
        String id = headers.getFirst("webhook-id"), at = headers.getFirst("webhook-timestamp");
        String given = headers.getFirst("webhook-signature");
        if (id == null || at == null || given == null || !at.matches("[0-9]{1,12}")) return false;
        if (Math.abs(Instant.now().getEpochSecond() - Long.parseLong(at)) > 300) return false;
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(KEY, "HmacSHA256"));
        mac.update((id + "." + at + ".").getBytes());
        byte[] wanted = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes();
        for (String one : given.split(" ")) if (MessageDigest.isEqual(one.getBytes(), wanted)) return true;
        return false;
    }

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "3000"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.createContext("/", exchange -> {
            int status = 500;
            try {
                byte[] body = exchange.getRequestBody().readAllBytes();
                status = isGenuine(exchange.getRequestHeaders(), body) ? 204 : 401;
                String type = exchange.getRequestHeaders().getFirst("becket-event-type");
                if (status == 204 && ${doubled(eventType)}.equals(type)) {
                    // The id is the same when a delivery is repeated: do the work once per id.
                    System.out.println(exchange.getRequestHeaders().getFirst("webhook-id") + " " + new String(body, "UTF-8"));
                }
            } catch (Exception problem) {
                problem.printStackTrace();
            }
            exchange.sendResponseHeaders(status, -1);
            exchange.close();
        });
        server.start();
    }
}
`;

export const csharp = (eventType: string): string => `// dotnet new web; ENDPOINT_SECRET=whsec_... dotnet run
using System.Security.Cryptography;
using System.Text;

var secret = Environment.GetEnvironmentVariable("ENDPOINT_SECRET")!;
var key = Convert.FromBase64String(secret.StartsWith("whsec_") ? secret[6..] : secret);
var app = WebApplication.CreateBuilder(args).Build();

// The raw bytes are what is signed: a parsed and printed body has other bytes.
bool IsGenuine(IHeaderDictionary headers, byte[] body)
{
    string id = headers["webhook-id"].ToString(), at = headers["webhook-timestamp"].ToString();
    if (!long.TryParse(at, out var sent) || Math.Abs(DateTimeOffset.UtcNow.ToUnixTimeSeconds() - sent) > 300) return false;
    var signed = Encoding.UTF8.GetBytes($"{id}.{at}.").Concat(body).ToArray();
    var wanted = Encoding.ASCII.GetBytes("v1," + Convert.ToBase64String(HMACSHA256.HashData(key, signed)));
    return headers["webhook-signature"].ToString().Split(' ')
        .Any(given => CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(given), wanted));
}

app.MapPost("/", async (HttpRequest request) =>
{
    using var memory = new MemoryStream();
    await request.Body.CopyToAsync(memory);
    var body = memory.ToArray();
    if (!IsGenuine(request.Headers, body)) return Results.Unauthorized();
    if (request.Headers["becket-event-type"] == ${doubled(eventType)})
    {
        // The id is the same when a delivery is repeated: do the work once per id.
        Console.WriteLine($"{request.Headers["webhook-id"]} {Encoding.UTF8.GetString(body)}");
    }
    return Results.NoContent();
});

app.Run("http://127.0.0.1:3000");
`;

export const rust = (eventType: string): string => `// cargo add axum base64 hmac@0.12 sha2@0.10; cargo add tokio --features full
use axum::{Router, body::Bytes, http::{HeaderMap, StatusCode}, routing::post};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

// The raw bytes are what is signed: a parsed and printed body has other bytes.
fn is_genuine(headers: &HeaderMap, body: &[u8]) -> Option<()> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (id, at, given) = (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    if now.abs_diff(at.parse().ok()?) > 300 {
        return None;
    }
    let secret = std::env::var("ENDPOINT_SECRET").ok()?;
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(&secret)).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(body);
    given
        .split(' ')
        .filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok())
        .find_map(|came| mac.clone().verify_slice(&came).ok())
}

async fn receive(headers: HeaderMap, body: Bytes) -> StatusCode {
    if is_genuine(&headers, &body).is_none() {
        return StatusCode::UNAUTHORIZED;
    }
    if headers.get("becket-event-type").is_some_and(|name| name == ${rusty(eventType)}) {
        // The id is the same when a delivery is repeated: do the work once per id.
        println!("{:?} {}", headers.get("webhook-id"), String::from_utf8_lossy(&body));
    }
    StatusCode::NO_CONTENT
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, Router::new().route("/", post(receive))).await
}
`;
