using System.ComponentModel;
using System.Security.Cryptography;
using Grid.Node.Containers;
using Grid.Node.Containers.Interop;
using Grid.Node.Machines;
using Grid.Node.Volumes.Interop;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Volumes;

/// <summary>How a volume comes to be there: made once, mounted ever after, grown.</summary>
public sealed partial class VolumeHost
{
    private Outcome Make(ContainerId id, Volume volume)
    {
        var files = Locate(id, out var fault);
        if (files is null && fault is not null)
            return fault;
        if (volume.Size < Volume.Smallest)
            return new Outcome.Refused(new Refusal(RefusalCode.SizeInvalid, $"The volume '{volume.Name}' has {volume.Size}; the smallest has {Volume.Smallest}."));
        if (files is null)
            return MakeNew(id, volume);
        if (files.Disk.Media != volume.Media)
            return new Outcome.Refused(new Refusal(RefusalCode.VolumeShrink, $"The volume '{volume.Name}' cannot move to another medium.", "Add a new volume and copy."));
        if (File.Exists(files.Image) && files.Form != volume.Form)
            return new Outcome.Refused(new Refusal(RefusalCode.VolumeShrink, $"The volume '{volume.Name}' cannot change its form.", "Add a new volume and copy."));
        switch (Observe(files, null))
        {
            case VolumeSighting.Partial:
                if (!File.Exists(files.Key))
                {
                    Discard(files);
                    return MakeNew(id, volume);
                }
                // Whole and sealed: only its name was missing.
                File.Move(files.MakingImage, files.Image);
                files.SyncNames();
                break;
            case VolumeSighting.Wiped:
                // Its key is gone, and with it all that could be lost.
                return Destroy(files) is Outcome.Done ? MakeNew(id, volume) : new Outcome.Transient($"{id} is being destroyed");
            case VolumeSighting.Lost lost:
                return new Outcome.Broken($"{id}: {lost.Why}; nothing is made in its place");
        }
        return Use(files, volume);
    }

    private Outcome MakeNew(ContainerId id, Volume volume)
    {
        var disks = _disks.Where(d => d.Media == volume.Media).ToList();
        if (disks.Count == 0)
            return new Outcome.Refused(new Refusal(RefusalCode.Capacity, $"This node has no {volume.Media} disk for volumes."));
        if (disks.OrderByDescending(d => d.Free).First() is var disk && disk.Free < OpenDisk.Footprint(LengthOf(volume.Size, volume.Form)))
            return new Outcome.Transient($"no {volume.Media} disk has {volume.Size} free; {disk.Directory} has {disk.Free}");
        var files = new VolumeFiles(disk, id);
        try
        {
            return volume.Form is VolumeForm.Disk ? MakeNewDisk(files, volume.Size) : MakeNew(files, volume.Size);
        }
        catch (Exception e) when (Effect.IsOfTheMachine(e))
        {
            // Cut short by a failure rather than a kill. With its key in place it is whole, and is finished later.
            if (!File.Exists(files.Key))
                Discard(files);
            throw;
        }
    }

    private Outcome MakeNew(VolumeFiles files, Bytes size)
    {
        using (var image = FcntlH.Open(files.MakingImage, FcntlH.O_RDWR | FcntlH.O_CREAT | FcntlH.O_EXCL, 0b110_000_000))
        {
            if (!FcntlH.Allocate(image, size.Value))
            {
                Discard(files);
                return new Outcome.Transient($"{files.Disk.Directory} has not {size} free");
            }
            FcntlH.SetLength(image, size.Value);
            Ext4.Format(files.MakingImage, files.Id);
            // mke2fs may have given blocks back where it wanted zeros.
            if (!FcntlH.Allocate(image, size.Value))
            {
                Discard(files);
                return new Outcome.Transient($"{files.Disk.Directory} has not {size} free");
            }
            Span<byte> key = stackalloc byte[LinuxFscrypt.KeySize];
            RandomNumberGenerator.Fill(key);
            try
            {
                VolumeKeys.Write(files.MakingKey, _keys.Seal(files.Id, key));
                using var device = LoopDevice.Of(files.MakingImage, files.Id.ToString());
                using var mount = Ext4.Mount(device);
                Ext4.Encrypt(mount, key);
                files.SizeOfMaking = size;
                FcntlH.Sync(image);
                File.Move(files.MakingKey, files.Key);
                files.SyncNames();
                File.Move(files.MakingImage, files.Image);
                files.SyncNames();
                Place(mount, files.Id);
            }
            finally
            {
                CryptographicOperations.ZeroMemory(key);
            }
        }
        return new Outcome.Done();
    }

    /// <summary>Nothing is formatted: what the disk holds is its machine's.</summary>
    private Outcome MakeNewDisk(VolumeFiles files, Bytes size)
    {
        using var image = FcntlH.Open(files.MakingImage, FcntlH.O_RDWR | FcntlH.O_CREAT | FcntlH.O_EXCL, 0b110_000_000);
        if (!FcntlH.Allocate(image, LengthOf(size, VolumeForm.Disk).Value))
        {
            Discard(files);
            return new Outcome.Transient($"{files.Disk.Directory} has not {size} free");
        }
        FcntlH.SetLength(image, LengthOf(size, VolumeForm.Disk).Value);
        Span<byte> key = stackalloc byte[LinuxFscrypt.KeySize];
        RandomNumberGenerator.Fill(key);
        try
        {
            VolumeKeys.Write(files.MakingKey, _keys.Seal(files.Id, key));
            RandomAccess.Write(image, LuksHeader.Create(LuksHeader.Passphrase(key)), 0);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(key);
        }
        files.MakingIsDisk();
        files.SizeOfMaking = size;
        FcntlH.Sync(image);
        File.Move(files.MakingKey, files.Key);
        files.SyncNames();
        File.Move(files.MakingImage, files.Image);
        files.SyncNames();
        return new Outcome.Done();
    }

    private static Bytes LengthOf(Bytes size, VolumeForm form) => form is VolumeForm.Disk ? size + new Bytes(LuksHeader.Size) : size;

    private Outcome Use(VolumeFiles files, Volume volume)
    {
        var length = new Bytes(new FileInfo(files.Image).Length);
        if (LengthOf(volume.Size, volume.Form) < length)
            return new Outcome.Refused(new Refusal(RefusalCode.VolumeShrink, $"The volume '{volume.Name}' has {files.Size}; it cannot shrink to {volume.Size}."));
        if (length < LengthOf(files.Size, volume.Form))
            return new Outcome.Broken($"{files.Image} is {length} long and was {LengthOf(files.Size, volume.Form)}");
        // Before it is mounted: were it the other way round, a power failure could leave a volume in use that counts as detached long ago.
        if (files.Detached is not null)
        {
            files.Detached = null;
            files.SyncImage();
        }
        if (volume.Form is VolumeForm.Disk)
            return files.Size < volume.Size ? GrowDisk(files, length, volume.Size) : new Outcome.Done();
        if (LoopMount.Read().All(m => m.Point != MountPointOf(files.Id)) && Mount(files) is { } failed)
            return failed;
        return files.Size < volume.Size ? Grow(files, length, volume.Size) : new Outcome.Done();
    }

    private Outcome.Broken? Mount(VolumeFiles files)
    {
        Span<byte> key = stackalloc byte[LinuxFscrypt.KeySize];
        try
        {
            if (!_keys.TryOpen(files.Id, File.ReadAllBytes(files.Key), key))
                return new Outcome.Broken($"{files.Key} is not the key of {files.Id}, or not this node's");
            using var device = LoopDevice.Of(files.Image, files.Id.ToString());
            using var mount = Ext4.Mount(device);
            if (!Ext4.Unlock(mount, key))
                return new Outcome.Broken($"{files.Image} is not what {files.Key} is the key of");
            Place(mount, files.Id);
            return null;
        }
        catch (Win32Exception e) when (e.NativeErrorCode is Posix.EINVAL or FcntlH.EUCLEAN)
        {
            return new Outcome.Broken($"{files.Image} cannot be mounted: {e.Message}");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(key);
        }
    }

    private void Place(Microsoft.Win32.SafeHandles.SafeFileHandle mount, ContainerId id)
    {
        // A container's root, nobody in particular out here, may walk through it.
        Directory.CreateDirectory(_mounts, (UnixFileMode)0b111_001_001);
        Directory.CreateDirectory(MountPointOf(id));
        MountApi.Place(mount, MountPointOf(id));
    }

    /// <summary>While its machine writes; the emulator is told afterwards.</summary>
    private static Outcome GrowDisk(VolumeFiles files, Bytes length, Bytes size)
    {
        var wanted = LengthOf(size, VolumeForm.Disk);
        using var image = FcntlH.Open(files.Image, FcntlH.O_RDWR);
        if (length < wanted && files.Disk.Free < OpenDisk.Footprint(wanted - length) || !FcntlH.Allocate(image, wanted.Value))
        {
            FcntlH.SetLength(image, length.Value);
            return new Outcome.Transient($"{files.Id} cannot grow: {files.Disk.Directory} has {files.Disk.Free} free");
        }
        FcntlH.SetLength(image, wanted.Value);
        FcntlH.Sync(image);
        files.Size = size;
        FcntlH.Sync(image);
        return new Outcome.Done();
    }

    private Outcome Grow(VolumeFiles files, Bytes length, Bytes size)
    {
        using var device = LoopDevice.Of(files.Image, files.Id.ToString());
        if (!CanGrow && device.Ext4Blocks() < (ulong)(size.Value / Ext4.BlockSize))
            return new Outcome.Broken($"{files.Id} cannot grow: ext4 wants CAP_SYS_RESOURCE, which the agent does not have");
        using var image = FcntlH.Open(files.Image, FcntlH.O_RDWR);
        if (length < size && files.Disk.Free < OpenDisk.Footprint(size - length) || !FcntlH.Allocate(image, size.Value))
        {
            FcntlH.SetLength(image, length.Value);
            return new Outcome.Transient($"{files.Id} cannot grow: {files.Disk.Directory} has {files.Disk.Free} free");
        }
        FcntlH.SetLength(image, size.Value);
        Ext4.Grow(device, MountPointOf(files.Id), size);
        // Where ext4 wanted zeros for its new tables, the loop device gave the blocks back. In the meantime nobody else should have taken them.
        if (!FcntlH.Allocate(image, size.Value))
            return new Outcome.Transient($"{files.Id} has grown, but {files.Disk.Directory} is full and does not hold all of it");
        FcntlH.Sync(image);
        files.Size = size;
        FcntlH.Sync(image);
        return new Outcome.Done();
    }

    /// <summary>What was being made and is in nobody's hands. Its key was never that of anything else.</summary>
    private static void Discard(VolumeFiles files)
    {
        File.Delete(files.MakingImage);
        if (File.Exists(files.MakingKey))
            VolumeKeys.Wipe(files.MakingKey);
        File.Delete(files.MakingKey);
    }
}
