// Every story plays a whole grid; two at a time would only wait for each other.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
