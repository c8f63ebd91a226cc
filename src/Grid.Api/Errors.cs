namespace Grid.Api;

/// <summary>Whatever goes wrong with a request is answered as a problem, and nothing of ours shows.</summary>
internal sealed partial class Errors(RequestDelegate next, ILogger<Errors> logger)
{
    public async Task InvokeAsync(HttpContext context)
    {
        try
        {
            if (RequestHead.TooLong(context) is var (refusal, status))
            {
                await new Problem(refusal, status).ExecuteAsync(context);
                return;
            }
            await next(context);
            if (context.Response is { HasStarted: false, StatusCode: >= 400, ContentLength: null, ContentType: null })
                await Problem.Of(context.Response.StatusCode).ExecuteAsync(context);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // Whoever asked has gone.
        }
        catch (RequestFormatException e) when (!context.Response.HasStarted)
        {
            await new Problem(e.Refusal).ExecuteAsync(context);
        }
        catch (BadHttpRequestException e) when (!context.Response.HasStarted)
        {
            await Problem.Of(e.StatusCode).ExecuteAsync(context);
        }
        catch (System.Data.Common.DbException e) when (!context.Response.HasStarted)
        {
            LogStoreAway(e.Message);
            await new Problem(new Refusal(ApiCode.Busy, "The ledger's store is away.", "Ask again in a moment.")).ExecuteAsync(context);
        }
        catch (Exception e) when (!context.Response.HasStarted)
        {
            LogDefect(context.Request.Path, e);
            await new Problem(new Refusal(ApiCode.Defect, "The ledger failed to answer; this is its fault."), StatusCodes.Status500InternalServerError).ExecuteAsync(context);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "A read failed: {Reason}")]
    private partial void LogStoreAway(string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "A request for {Path} met a defect")]
    private partial void LogDefect(string path, Exception e);
}
